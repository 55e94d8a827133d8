/**
 * `npm run bench:logins`: do many logins at once slow other requests? Reads a task at a steady pace, first alone and then
 * while 200 users log in at once, and prints the 95th percentile of both and their ratio. It takes about 15 seconds.
 */
import { setTimeout as delay } from "node:timers/promises";
import { PASSWORD, percentile, startSystem } from "./system.ts";

const LOGINS = 200;
/** The pause between two reads. */
const PAUSE_MS = 10;
const WARM_UP_MS = 1000;
/** How long reads go on without logins. */
const QUIET_MS = 3000;

const system = await startSystem({ BCRYPT_COST: "12" });

/** Reads at a steady pace while `going` holds. @returns the milliseconds of each read */
async function read(path: string, token: string, going: () => boolean): Promise<number[]> {
  const times: number[] = [];
  const open: Promise<void>[] = [];
  while (going()) {
    const began = performance.now();
    open.push(
      system.request("GET", path, { token }).then(async (response) => {
        await response.text();
        times.push(performance.now() - began);
      }),
    );
    await delay(PAUSE_MS);
  }
  await Promise.all(open);
  return times;
}

const p95 = (times: number[]): number => percentile(times, 0.95);

try {
  const { token } = await system.register("bench");
  const { id } = await system.must<{ id: string }>("POST", "/tasks", { token, body: { title: "Read me" } });
  const path = `/tasks/${id}`;

  let until = performance.now() + WARM_UP_MS;
  await read(path, token, () => performance.now() < until); // warms up
  until = performance.now() + QUIET_MS;
  const quiet = await read(path, token, () => performance.now() < until);

  const statuses = new Map<number, number>();
  const answered: number[] = [];
  const began = performance.now();
  let open = LOGINS;
  const logins = Array.from({ length: LOGINS }, async () => {
    const body = { login: "bench", password: PASSWORD };
    const { status } = await system.request("POST", "/auth/login", { body });
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    answered.push(performance.now() - began);
    open -= 1;
  });
  const storm = await read(path, token, () => open > 0);
  await Promise.all(logins);

  const counts = [...statuses].map(([status, count]) => `${count} × ${status}`).join(", ");
  console.log(`GET ${"/tasks/{id}"} every ${PAUSE_MS} ms`);
  console.log(`  quiet:              p95 ${p95(quiet).toFixed(1)} ms of ${quiet.length}`);
  console.log(`  ${LOGINS} logins at once: p95 ${p95(storm).toFixed(1)} ms of ${storm.length}`);
  console.log(
    `  logins: ${counts}; the last was answered after ${(Math.max(...answered) / 1000).toFixed(1)} s`,
  );
  console.log(`ratio ${(p95(storm) / p95(quiet)).toFixed(2)}`);
} finally {
  await system.stop();
}
