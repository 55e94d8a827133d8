/**
 * `npm run bench:logins`: does a storm of logins slow anybody but who logs in? Runs the whole system in a process of
 * its own on a Postgres of its own, reads a task at a steady pace, first in quiet and then while 200 people log in at
 * once, and prints the 95th percentile of both and their ratio. Some 15 seconds, and only against 127.0.0.1.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../local/ports.ts";
import { startPostgres } from "../local/postgres.ts";
import { ProcessGroup } from "../local/process-group.ts";
import { migrate } from "../migrations/migrate.ts";

const LOGINS = 200;
/** Milliseconds between two reads, and how long each phase at least lasts. */
const PACE = 10;
const QUIET = 3000;
const credentials = { login: "bench", password: "bench bench bench" };

const dir = await mkdtemp(join(tmpdir(), "taskwire-bench-"));
await chmod(dir, 0o755);
const postgres = await startPostgres({ dir: join(dir, "postgres"), durable: false });
await migrate(postgres.url);
const PORT = String(await freePort());
const url = `http://127.0.0.1:${PORT}`;
const group = new ProcessGroup({
  command: process.execPath,
  args: [new URL("../main.ts", import.meta.url).pathname],
  out: (_name, line) => (/WARN|ERROR|FATAL/.test(line) ? console.error(line) : undefined),
});

async function request(method: string, path: string, body?: object, token?: string): Promise<Response> {
  return fetch(`${url}${path}`, {
    method,
    headers: {
      "Content-Type": "application/json",
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

/** The time of each read, in milliseconds, at a steady pace as long as `going` says so. */
async function read(path: string, token: string, going: () => boolean): Promise<number[]> {
  const times: number[] = [];
  const open: Promise<void>[] = [];
  while (going()) {
    const began = performance.now();
    open.push(
      request("GET", path, undefined, token).then(async (response) => {
        await response.text();
        times.push(performance.now() - began);
      }),
    );
    await delay(PACE);
  }
  await Promise.all(open);
  return times;
}

const p95 = (times: number[]): number =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? NaN;

try {
  const child = group.start({
    name: "taskwire",
    env: { DATABASE_URL: postgres.url, PORT, RATE_LIMIT: "off", BCRYPT_COST: "12" },
  });
  await new Promise((resolve) => child.once("message", resolve));
  await request("POST", "/auth/register", {
    email: "bench@example.com",
    username: "bench",
    password: credentials.password,
  });
  const { access_token } = (await (await request("POST", "/auth/login", credentials)).json()) as {
    access_token: string;
  };
  const { id } = (await (await request("POST", "/tasks", { title: "Read me" }, access_token)).json()) as {
    id: string;
  };
  const path = `/tasks/${id}`;

  let until = performance.now() + 1000;
  await read(path, access_token, () => performance.now() < until); // warms up
  until = performance.now() + QUIET;
  const quiet = await read(path, access_token, () => performance.now() < until);

  const statuses = new Map<number, number>();
  const answered: number[] = [];
  const began = performance.now();
  let open = LOGINS;
  const logins = Array.from({ length: LOGINS }, async () => {
    const { status } = await request("POST", "/auth/login", credentials);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    answered.push(performance.now() - began);
    open -= 1;
  });
  const storm = await read(path, access_token, () => open > 0);
  await Promise.all(logins);

  const counts = [...statuses].map(([status, count]) => `${count} × ${status}`).join(", ");
  console.log(`GET ${"/tasks/{id}"} every ${PACE} ms`);
  console.log(`  quiet:              p95 ${p95(quiet).toFixed(1)} ms of ${quiet.length}`);
  console.log(`  ${LOGINS} logins at once: p95 ${p95(storm).toFixed(1)} ms of ${storm.length}`);
  console.log(
    `  logins: ${counts}; the last was answered after ${(Math.max(...answered) / 1000).toFixed(1)} s`,
  );
  console.log(`ratio ${(p95(storm) / p95(quiet)).toFixed(2)}`);
} finally {
  await group.stopAll();
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
}
