/**
 * `npm run bench:pages`: does a page cost more the further it lies? Runs the whole system in a process of its own on a
 * Postgres of its own, with 100,000 tasks in one project, and prints the 95th percentile of its first page and of page
 * 500 by cursor, and their ratio; and what the same page costs by offset. Each first page is read after a write to the
 * project, so that no cache answers it. Some 20 seconds, and only against 127.0.0.1.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { freePort } from "../local/ports.ts";
import { startPostgres } from "../local/postgres.ts";
import { ProcessGroup } from "../local/process-group.ts";
import { migrate } from "../migrations/migrate.ts";

const TASKS = 100_000;
const LIMIT = 20;
/** The last that an offset reaches. */
const PAGE = 500;
/** A cursor holds good for any limit: the way there is walked in large steps. */
const STRIDE = 100;
const [WARM_UP, READS] = [50, 400];

const dir = await mkdtemp(join(tmpdir(), "taskwire-bench-"));
await chmod(dir, 0o755);
const postgres = await startPostgres({ dir: join(dir, "postgres"), durable: false });
await migrate(postgres.url);
const PORT = String(await freePort());
const group = new ProcessGroup({
  command: process.execPath,
  args: [new URL("../main.ts", import.meta.url).pathname],
  out: (_name, line) => (/WARN|ERROR|FATAL/.test(line) ? console.error(line) : undefined),
});

let token = "";
async function request<Body>(method: string, path: string, body?: object): Promise<Body> {
  const response = await fetch(`http://127.0.0.1:${PORT}${path}`, {
    method,
    headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Body;
}

interface Page {
  items: { id: string }[];
  next_cursor: string;
}

/** Somebody's project with its tasks. @returns its id, and a task of it */
async function prepare(): Promise<[project: string, task: string]> {
  const password = "bench bench bench";
  await request("POST", "/auth/register", { email: "bench@example.com", username: "bench", password });
  token = (await request<{ access_token: string }>("POST", "/auth/login", { login: "bench", password }))
    .access_token;
  const { id, owner_id } = await request<{ id: string; owner_id: string }>("POST", "/projects", {
    name: "Long",
  });
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(
    `INSERT INTO tasks.tasks (id, title, description, status, priority, project_id, created_by, created_at, updated_at)
     SELECT gen_random_uuid(), 'Task ' || n, 'Noted in the weekly meeting.', 'pending', 'medium', $1, $2,
            now() - random() * interval '1 year', now()
     FROM generate_series(1, $3::int) AS n`,
    [id, owner_id, TASKS - 1],
  );
  await client.query("VACUUM ANALYZE");
  await client.end();
  const task = await request<{ id: string }>("POST", `/projects/${id}/tasks`, { title: "The newest" });
  return [id, task.id];
}

/** The cursor of a page: where those before it end. */
async function walkTo(path: string, page: number): Promise<string> {
  let cursor = "";
  for (let left = (page - 1) * LIMIT; left > 0; left -= STRIDE) {
    const answer = await request<Page>("GET", `${path}?limit=${Math.min(left, STRIDE)}&cursor=${cursor}`);
    cursor = answer.next_cursor;
  }
  return cursor;
}

const p95 = (times: number[]): number =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? NaN;

try {
  const child = group.start({
    name: "taskwire",
    env: { DATABASE_URL: postgres.url, PORT, RATE_LIMIT: "off", BCRYPT_COST: "4", NODE_ENV: "test" },
  });
  await new Promise((resolve) => child.once("message", resolve));
  console.log(`making a project with ${TASKS.toLocaleString("en")} tasks`);
  const [project, task] = await prepare();
  const path = `/projects/${project}/tasks`;
  const cursor = await walkTo(path, PAGE);

  // In turns, so that whatever else the machine does meets all alike.
  const reads = [
    { name: "page 1", query: "&cursor=", times: [] as number[] },
    {
      name: `page ${PAGE.toLocaleString("en")} by cursor`,
      query: `&cursor=${cursor}`,
      times: [] as number[],
    },
    { name: "the same by offset", query: `&offset=${(PAGE - 1) * LIMIT}`, times: [] as number[] },
  ];
  const ids = await Promise.all(
    reads.slice(1).map(async ({ query }) => {
      const { items } = await request<Page>("GET", `${path}?limit=${LIMIT}${query}`);
      return items.map(({ id }) => id).join();
    }),
  );
  if (ids[0] !== ids[1]) throw new Error("the cursor leads to another page than the offset");
  for (let nth = -WARM_UP; nth < READS; nth++)
    for (const { name, query, times } of reads) {
      await request("PATCH", `/tasks/${task}`, { title: `Changed ${nth} ${name}` });
      const began = performance.now();
      const { items } = await request<Page>("GET", `${path}?limit=${LIMIT}${query}`);
      if (nth >= 0) times.push(performance.now() - began);
      if (items.length !== LIMIT) throw new Error(`${name} has ${items.length} items`);
    }

  const [first, far] = reads as [(typeof reads)[number], (typeof reads)[number]];
  for (const { name, times } of reads)
    console.log(`${name.padEnd(20)}  p95 ${p95(times).toFixed(1).padStart(6)} ms of ${times.length}`);
  console.log(`ratio of ${far.name} to ${first.name}: ${(p95(far.times) / p95(first.times)).toFixed(2)}`);
} finally {
  await group.stopAll();
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
}
