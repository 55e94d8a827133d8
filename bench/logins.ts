/**
 * `npm run bench:logins`: do logins slow other requests? Reads a task at a steady pace: alone, while 8 users log in again
 * and again, and while 200 logins come at once. Prints the 95th and 99th percentile of each and their ratios to the quiet
 * ones. Passwords cost what they cost in production, and rate limits count. It takes about 25 seconds.
 */
import { setTimeout as delay } from "node:timers/promises";
import { PASSWORD, percentile, startSystem } from "./system.ts";

const [CLIENTS, STORM] = [8, 200];
/** The pause between two reads. */
const PAUSE_MS = 5;
const WARM_UP_MS = 1000;
/** How long reads go on, without logins and beside those of the clients. */
const READ_MS = 5000;

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

const p95 = (times: number[]): number => percentile(times, 0.95);
const p99 = (times: number[]): number => percentile(times, 0.99);

try {
  const users = await Promise.all(
    Array.from({ length: CLIENTS }, (_, nth) => system.register(`bench${nth}`)),
  );
  const { token } = users[0] as { token: string };
  const { id } = await system.must<{ id: string }>("POST", "/tasks", { token, body: { title: "Read me" } });
  const path = `/tasks/${id}`;
  await read(path, token, during(WARM_UP_MS));
  const quiet = await read(path, token, during(READ_MS));

  let statuses = new Map<number, number>();
  async function login(user: number): Promise<void> {
    const body = { login: `bench${user}`, password: PASSWORD };
    const { status } = await system.request("POST", "/auth/login", { body });
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  const print = (label: string, times: number[]): void => {
    const ratios = `÷ quiet ${(p95(times) / p95(quiet)).toFixed(2)} and ${(p99(times) / p99(quiet)).toFixed(2)}`;
    const logins = [...statuses].map(([status, count]) => `${count} × ${status}`).join(", ");
    console.log(
      `  ${label.padEnd(22)} p95 ${p95(times).toFixed(1)}, p99 ${p99(times).toFixed(1)} ms of ${times.length}; ${ratios}${logins && `; logins: ${logins}`}`,
    );
  };
  console.log(`GET /tasks/{id} every ${PAUSE_MS} ms`);
  print("quiet", quiet);

  const going = during(READ_MS);
  const clients = users.map(async (_user, nth) => {
    while (going()) await login(nth);
  });
  print(`${CLIENTS} logins at once`, await read(path, token, going));
  await Promise.all(clients);

  statuses = new Map();
  let open = STORM;
  const storm = Array.from({ length: STORM }, async (_, nth) => {
    await login(nth % CLIENTS);
    open -= 1;
  });
  print(`${STORM} logins at once`, await read(path, token, () => open > 0));
  await Promise.all(storm);
} finally {
  await system.stop();
}
