/**
 * `npm run bench:logins`: do logins slow other requests? Reads a task at a steady pace: alone and while 8 users log in
 * again and again, in turns, and then while 200 logins come at once. Prints the 95th and 99th percentile of each and their
 * ratios to the quiet ones. Passwords cost what they cost in production, and rate limits count. It takes half a minute.
 */
import { setTimeout as delay } from "node:timers/promises";
import { PASSWORD, percentile, startSystem } from "./system.ts";

const [CLIENTS, STORM] = [8, 200];
/** The pause between two reads. */
const PAUSE_MS = 5;
const WARM_UP_MS = 1000;
/** Turns, and how long reads go on in each, without logins and beside those of the clients. */
const [TURNS, READ_MS] = [4, 2000];

const system = await startSystem({
  BCRYPT_COST: "12",
  RATE_LIMIT: "on",
  RATE_LIMIT_DEFAULT: "1000000/60",
  RATE_LIMIT_AUTH: "1000000/60",
});

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

const during = (ms: number): (() => boolean) => {
  const end = performance.now() + ms;
  return () => performance.now() < end;
};

try {
  const users = await Promise.all(
    Array.from({ length: CLIENTS }, (_, nth) => system.register(`bench${nth}`)),
  );
  const { token } = users[0] as { token: string };
  const { id } = await system.must<{ id: string }>("POST", "/tasks", { token, body: { title: "Read me" } });
  const path = `/tasks/${id}`;
  /** Logs in, and counts the status of the answer. */
  async function login(user: number, statuses: Map<number, number>): Promise<void> {
    const body = { login: `bench${user}`, password: PASSWORD };
    const { status } = await system.request("POST", "/auth/login", { body });
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }

  await read(path, token, during(WARM_UP_MS));
  const [quiet, busy]: [number[], number[]] = [[], []];
  const [few, many] = [new Map<number, number>(), new Map<number, number>()];
  for (let turn = 0; turn < TURNS; turn++) {
    quiet.push(...(await read(path, token, during(READ_MS))));
    const going = during(READ_MS);
    const clients = users.map(async (_user, nth) => {
      while (going()) await login(nth, few);
    });
    busy.push(...(await read(path, token, going)));
    await Promise.all(clients);
  }

  let open = STORM;
  const storm = Array.from({ length: STORM }, async (_, nth) => {
    await login(nth % CLIENTS, many);
    open -= 1;
  });
  const stormy = await read(path, token, () => open > 0);
  await Promise.all(storm);

  const ratio = (share: number, times: number[]): string =>
    (percentile(times, share) / percentile(quiet, share)).toFixed(2);
  const print = (label: string, times: number[], statuses?: Map<number, number>): void => {
    const figures = `p95 ${percentile(times, 0.95).toFixed(1)}, p99 ${percentile(times, 0.99).toFixed(1)} ms of ${times.length}`;
    const counts = [...(statuses ?? [])].map(([status, count]) => `${count} × ${status}`).join(", ");
    const rest = `, ÷ quiet ${ratio(0.95, times)} and ${ratio(0.99, times)}; logins: ${counts}`;
    console.log(`  ${label.padEnd(22)} ${figures}${statuses === undefined ? "" : rest}`);
  };
  console.log(`GET /tasks/{id} every ${PAUSE_MS} ms`);
  print("quiet", quiet);
  print(`${CLIENTS} logins at once`, busy, few);
  print(`${STORM} logins at once`, stormy, many);
} finally {
  await system.stop();
}
