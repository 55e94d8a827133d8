/**
 * `npm run bench:slow`: do somebody's slow lists hold up everybody? Runs the whole system in a process of its own on a
 * Postgres of its own, with a million tasks in one project (`TASKS=300000` for fewer), and prints how long a change of a
 * task and `GET /tasks/{id}` take alone, beside four readers of `?overdue=true` who are one user, and beside four who are
 * four users; and what became of those reads. About a minute, most of it to fill the table, and only against 127.0.0.1.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { freePort } from "../local/ports.ts";
import { startPostgres } from "../local/postgres.ts";
import { ProcessGroup } from "../local/process-group.ts";
import { migrate } from "../migrations/migrate.ts";

const TASKS = Number(process.env.TASKS ?? 1_000_000);
const [READERS, SECONDS] = [4, 5];
const PASSWORD = "bench bench bench";

const dir = await mkdtemp(join(tmpdir(), "taskwire-bench-"));
await chmod(dir, 0o755);
const postgres = await startPostgres({ dir: join(dir, "postgres"), durable: false });
await migrate(postgres.url);
const PORT = String(await freePort());
const group = new ProcessGroup({
  command: process.execPath,
  args: [new URL("../main.ts", import.meta.url).pathname],
  out: (_name, line) => (/ERROR|FATAL/.test(line) ? console.error(line) : undefined),
});

/** As a user, or as nobody. @returns the status and the body of the answer */
async function request(
  method: string,
  path: string,
  { token = "", body }: { token?: string; body?: object } = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`http://127.0.0.1:${PORT}${path}`, {
    method,
    headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function register(username: string): Promise<{ id: string; token: string }> {
  const account = { email: `${username}@example.com`, username, password: PASSWORD };
  const { id } = (await request("POST", "/auth/register", { body: account })).body;
  const login = await request("POST", "/auth/login", { body: { login: username, password: PASSWORD } });
  return { id: id as string, token: login.body.access_token as string };
}

/** Everybody in one project, and its tasks. @returns one of them */
async function prepare(users: { id: string; token: string }[]): Promise<string> {
  const [owner] = users as [(typeof users)[number]];
  const made = await request("POST", "/projects", { token: owner.token, body: { name: "Large" } });
  const project = made.body.id as string;
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(
    `INSERT INTO projects.members SELECT $1, id, 'member', now() FROM unnest($2::uuid[]) AS id ON CONFLICT DO NOTHING`,
    [project, users.map(({ id }) => id)],
  );
  await client.query(
    `INSERT INTO tasks.tasks (id, title, status, priority, project_id, created_by, due_date, created_at, updated_at)
     SELECT gen_random_uuid(), 'Task ' || n, 'completed', 'medium', $1, $2, now() - interval '1 day',
            now() - random() * interval '1 year', now()
     FROM generate_series(1, $3::int) AS n`,
    [project, owner.id, TASKS],
  );
  await client.query("VACUUM ANALYZE tasks.tasks");
  await client.end();
  const task = await request("POST", `/projects/${project}/tasks`, {
    token: owner.token,
    body: { title: "Read" },
  });
  return task.body.id as string;
}

const percentile = (times: number[], part: number): string =>
  (times.toSorted((a, b) => a - b)[Math.floor(times.length * part)] ?? NaN).toFixed(1);

/** How long gets take while each of `readers` reads one list after the other. */
async function measure(label: string, get: () => Promise<unknown>, readers: string[]): Promise<void> {
  const statuses = new Map<number, number>();
  let reading = true;
  const lists = readers.map(async (token) => {
    while (reading) {
      const { status } = await request("GET", "/tasks?overdue=true", { token });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  });
  const times: number[] = [];
  for (const end = performance.now() + SECONDS * 1000; performance.now() < end;) {
    const began = performance.now();
    await get();
    times.push(performance.now() - began);
  }
  reading = false;
  await Promise.all(lists);
  const became = [...statuses].map(([status, count]) => `${count} × ${status}`).join(", ");
  console.log(
    `${label.padEnd(28)} p50 ${percentile(times, 0.5)} ms, p99 ${percentile(times, 0.99)} ms of ${times.length}` +
      (became === "" ? "" : `; lists: ${became}`),
  );
}

try {
  const child = group.start({
    name: "taskwire",
    env: { DATABASE_URL: postgres.url, PORT, RATE_LIMIT: "off", BCRYPT_COST: "4" },
  });
  await new Promise((resolve) => child.once("message", resolve));
  const users = await Promise.all(Array.from({ length: READERS + 1 }, (_, n) => register(`bench${n}`)));
  console.log(`filling in ${TASKS.toLocaleString("en")} tasks`);
  const task = await prepare(users);
  const [{ token }, ...others] = users.map(({ token }) => ({ token })) as [
    { token: string },
    ...{ token: string }[],
  ];
  const [one = { token: "" }] = others;
  // A cached answer would tell nothing: each get follows a change of what it reads.
  const get = async () => {
    await request("PATCH", `/tasks/${task}`, { token, body: { title: `Read ${performance.now()}` } });
    return request("GET", `/tasks/${task}`, { token });
  };
  await measure("a change and a get, alone", get, []);
  await measure("beside 4 readers of one user", get, Array<string>(READERS).fill(one.token));
  await measure(
    "beside 4 users",
    get,
    others.map(({ token }) => token),
  );
} finally {
  await group.stopAll();
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
}
