/**
 * `npm run bench:pages`: does a far page cost more? Prints the 95th percentile of the first page of a project with 100,000
 * tasks, of page 500 by cursor, their ratio, and of the same page by offset. A write to the project comes before each read,
 * so that no cache answers it. It takes about 20 seconds.
 */
import pg from "pg";
import { percentile, startSystem } from "./system.ts";

const TASKS = 100_000;
const PAGE_ITEMS = 20;
/** The last page that an offset reaches. */
const FAR_PAGE = 500;
/** A cursor fits any limit, so the walk to the far page takes large steps. */
const STEP_ITEMS = 100;
const [WARM_UP_READS, READS] = [50, 400];

const system = await startSystem({ BCRYPT_COST: "4", NODE_ENV: "test" });
let token = "";
const request = <Body>(method: string, path: string, body?: object): Promise<Body> =>
  system.must<Body>(method, path, { token, ...(body && { body }) });

interface Page {
  items: { id: string }[];
  next_cursor: string;
}

/** A project with its tasks. @returns its id, and the id of one of its tasks */
async function prepare(): Promise<[project: string, task: string]> {
  ({ token } = await system.register("bench"));
  const { id, owner_id } = await request<{ id: string; owner_id: string }>("POST", "/projects", {
    name: "Long",
  });
  const client = new pg.Client({ connectionString: system.databaseUrl });
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

/** The cursor of a page: the end of the pages before it. */
async function walkTo(path: string, page: number): Promise<string> {
  let cursor = "";
  for (let left = (page - 1) * PAGE_ITEMS; left > 0; left -= STEP_ITEMS) {
    const answer = await request<Page>("GET", `${path}?limit=${Math.min(left, STEP_ITEMS)}&cursor=${cursor}`);
    cursor = answer.next_cursor;
  }
  return cursor;
}

const p95 = (times: number[]): number => percentile(times, 0.95);

try {
  console.log(`making a project with ${TASKS.toLocaleString("en")} tasks`);
  const [project, task] = await prepare();
  const path = `/projects/${project}/tasks`;
  const cursor = await walkTo(path, FAR_PAGE);

  // In turns, so that other load on the machine affects all alike.
  const reads = [
    { name: "page 1", query: "&cursor=", times: [] as number[] },
    {
      name: `page ${FAR_PAGE.toLocaleString("en")} by cursor`,
      query: `&cursor=${cursor}`,
      times: [] as number[],
    },
    { name: "the same by offset", query: `&offset=${(FAR_PAGE - 1) * PAGE_ITEMS}`, times: [] as number[] },
  ];
  const ids = await Promise.all(
    reads.slice(1).map(async ({ query }) => {
      const { items } = await request<Page>("GET", `${path}?limit=${PAGE_ITEMS}${query}`);
      return items.map(({ id }) => id).join();
    }),
  );
  if (ids[0] !== ids[1]) throw new Error("the cursor leads to another page than the offset");
  for (let nth = -WARM_UP_READS; nth < READS; nth++)
    for (const { name, query, times } of reads) {
      await request("PATCH", `/tasks/${task}`, { title: `Changed ${nth} ${name}` });
      const began = performance.now();
      const { items } = await request<Page>("GET", `${path}?limit=${PAGE_ITEMS}${query}`);
      if (nth >= 0) times.push(performance.now() - began);
      if (items.length !== PAGE_ITEMS) throw new Error(`${name} has ${items.length} items`);
    }

  const [first, far] = reads as [(typeof reads)[number], (typeof reads)[number]];
  for (const { name, times } of reads)
    console.log(`${name.padEnd(20)}  p95 ${p95(times).toFixed(1).padStart(6)} ms of ${times.length}`);
  console.log(`ratio of ${far.name} to ${first.name}: ${(p95(far.times) / p95(first.times)).toFixed(2)}`);
} finally {
  await system.stop();
}
