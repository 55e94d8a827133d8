/**
 * `npm run bench:snapshot`: does memory grow with the project whose snapshot is read? Fills a project with 10,000 tasks and
 * another with a million (`TASKS=300000` for fewer), reads the snapshot of the small one once and of the large one three
 * times from a cluster, and prints how much memory the gateway and the tasks nodes had at most meanwhile. It takes some
 * minutes.
 */
import { readFile } from "node:fs/promises";
import pg from "pg";
import { type BenchCluster, startBenchCluster } from "./cluster.ts";

const TASKS = Number(process.env.TASKS ?? 1_000_000);
const FEW = 10_000;
const READS = 3;
const SAMPLE_MS = 200;
const NODES = ["gateway", "tasks-1", "tasks-2"];

/** Resident megabytes of a process, 0 for one that is gone. Linux alone tells it in this place. */
async function megabytesOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}

/** A project with its tasks. @returns its id */
async function fill(cluster: BenchCluster, token: string, tasks: number): Promise<string> {
  const body = { name: `${tasks} tasks` };
  const project = await cluster.must<{ id: string; owner_id: string }>("POST", "/projects", { token, body });
  const client = new pg.Client({ connectionString: cluster.databaseUrl });
  await client.connect();
  await client.query(
    `INSERT INTO tasks.tasks (id, title, description, status, priority, project_id, created_by, created_at, updated_at)
     SELECT gen_random_uuid(), 'Task ' || n, repeat('What is to be done. ', 10), 'pending', 'medium', $1, $2, now(), now()
     FROM generate_series(1, $3::int) AS n`,
    [project.id, project.owner_id, tasks],
  );
  await client.query("VACUUM ANALYZE tasks.tasks");
  await client.end();
  return project.id;
}

/** Reads a snapshot to its end. @returns its megabytes and lines @throws Error for one that is not whole */
async function read(cluster: BenchCluster, token: string, project: string) {
  const response = await cluster.request("GET", `/projects/${project}/snapshot`, { token });
  if (!response.ok || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
  let [bytes, lines] = [0, 0];
  let last = Buffer.alloc(0);
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    bytes += chunk.length;
    for (let at = -1; (at = chunk.indexOf(10, at + 1)) !== -1;) lines += 1;
    last = Buffer.concat([last, chunk]).subarray(-100);
  }
  const end = JSON.parse(last.toString().trimEnd().split("\n").at(-1) as string) as { count?: number };
  if (end.count !== lines - 2) throw new Error(`cut: ${lines} lines, and its end says ${end.count}`);
  return { megabytes: bytes / 1e6, lines };
}

/** Prints the memory of the nodes while `work` runs. */
async function watch(
  label: string,
  cluster: BenchCluster,
  work: () => ReturnType<typeof read>,
): Promise<void> {
  const most = new Map<string, number>();
  const sample = async (): Promise<void> => {
    for (const node of NODES)
      most.set(node, Math.max(most.get(node) ?? 0, await megabytesOf(cluster.pidOf(node))));
  };
  await sample();
  const before = [...most.values()];
  let sampling = Promise.resolve();
  const timer = setInterval(() => {
    sampling = sampling.then(sample);
  }, SAMPLE_MS);
  const began = performance.now();
  const { megabytes, lines } = await work().finally(() => clearInterval(timer));
  const seconds = (performance.now() - began) / 1000;
  await sampling;
  const memory = NODES.map(
    (node, n) => `${node} ${before[n]?.toFixed(0)} → ${most.get(node)?.toFixed(0)} MB`,
  ).join(", ");
  console.log(
    `${label.padEnd(24)} ${lines.toLocaleString("en")} lines, ${megabytes.toFixed(0)} MB, ${seconds.toFixed(1)} s; before → at most: ${memory}`,
  );
}

const cluster = await startBenchCluster();
try {
  const { token } = await cluster.register("bench");
  console.log(`filling in ${FEW.toLocaleString("en")} and ${TASKS.toLocaleString("en")} tasks`);
  const few = await fill(cluster, token, FEW);
  const many = await fill(cluster, token, TASKS);
  await watch("few tasks", cluster, () => read(cluster, token, few));
  for (let nth = 1; nth <= READS; nth++)
    await watch(`many tasks, read ${nth}`, cluster, () => read(cluster, token, many));
} finally {
  await cluster.stop();
}
