/**
 * `npm run bench:slow`: do slow lists of some users hold up other users? Fills a project with a million tasks
 * (`TASKS=300000` for fewer), and prints how long a change of a task and `GET /tasks/{id}` take: alone, beside four readers
 * of `?overdue=true` who are one user, and beside four who are four users; also the statuses of these lists. It takes about
 * a minute, most of it to fill the table.
 */
import pg from "pg";
import { percentile, startSystem } from "./system.ts";

const TASKS = Number(process.env.TASKS ?? 1_000_000);
const [READERS, SECONDS] = [4, 5];

const system = await startSystem({ BCRYPT_COST: "4", NODE_ENV: "test" });

/** A project of all users with its tasks. @returns the id of one task */
async function prepare(users: { id: string; token: string }[]): Promise<string> {
  const [owner] = users as [(typeof users)[number]];
  const { token } = owner;
  const body = { name: "Large" };
  const { id: project } = await system.must<{ id: string }>("POST", "/projects", { token, body });
  const client = new pg.Client({ connectionString: system.databaseUrl });
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
  const task = await system.must<{ id: string }>("POST", `/projects/${project}/tasks`, {
    token,
    body: { title: "Read" },
  });
  return task.id;
}

/** Prints how long `get` takes while each of `readers` (tokens) reads one list after the other. */
async function measure(label: string, get: () => Promise<unknown>, readers: string[]): Promise<void> {
  const statuses = new Map<number, number>();
  let reading = true;
  const lists = readers.map(async (token) => {
    while (reading) {
      const response = await system.request("GET", "/tasks?overdue=true", { token });
      await response.text();
      const { status } = response;
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
    `${label.padEnd(28)} p50 ${percentile(times, 0.5).toFixed(1)} ms, p99 ${percentile(times, 0.99).toFixed(1)} ms of ${times.length}` +
      (became === "" ? "" : `; lists: ${became}`),
  );
}

try {
  const users = await Promise.all(
    Array.from({ length: READERS + 1 }, (_, n) => system.register(`bench${n}`)),
  );
  console.log(`filling in ${TASKS.toLocaleString("en")} tasks`);
  const task = await prepare(users);
  const [{ token }, ...others] = users.map(({ token }) => ({ token })) as [
    { token: string },
    ...{ token: string }[],
  ];
  const [one = { token: "" }] = others;
  // Each get follows a change of its task, so that no cache answers it.
  const get = async () => {
    await system.must("PATCH", `/tasks/${task}`, { token, body: { title: `Read ${performance.now()}` } });
    await system.must("GET", `/tasks/${task}`, { token });
  };
  await measure("a change and a get, alone", get, []);
  await measure("beside 4 readers of one user", get, Array<string>(READERS).fill(one.token));
  await measure(
    "beside 4 users",
    get,
    others.map(({ token }) => token),
  );
} finally {
  await system.stop();
}
