/**
 * `npm run bench:cost`: what a request, a frame and a socket cost each part of a cluster, in CPU time and memory. It needs
 * Linux and takes about a minute. CPU time is what the kernel counted for each process, so that another program on the
 * machine changes it little; requests a second would be another figure on each machine. docs/scaling.md has the figures.
 */
import { readFile } from "node:fs/promises";
import pg from "pg";
import { io, type Socket } from "socket.io-client";
import { until } from "../local/until.ts";
import { type BenchCluster, startBenchCluster } from "./cluster.ts";
import { cpuBetween, type Processes, readCpu } from "./cpu.ts";

const REQUESTS = 3000;
const AT_ONCE = 16;
const TASKS = 100;
/** Users with as many sockets as one may have at a notifier. */
const [USERS, SOCKETS] = [5, 100];
const EVENTS = 300;
const NODES = ["gateway", "auth", "projects", "tasks-1", "tasks-2", "notifier-1", "notifier-2"];

/** The processes of each kind of node, and those of Postgres. */
async function processesOf(cluster: BenchCluster, client: pg.Client): Promise<Processes> {
  const found = new Map<string, number[]>();
  for (const node of NODES) {
    const kind = node.replace(/-\d$/, "");
    found.set(kind, [...(found.get(kind) ?? []), cluster.pidOf(node)]);
  }
  const { rows } = await client.query<{ pid: number }>("SELECT pid FROM pg_stat_activity");
  return found.set(
    "Postgres",
    rows.map(({ pid }) => pid),
  );
}

/** Resident bytes of a process. */
async function bytesOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

/** Runs `times` of `work`, some at once. */
async function repeat(times: number, work: (at: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < times) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

const cluster = await startBenchCluster();
const sockets: Socket[] = [];
const client = new pg.Client({ connectionString: cluster.databaseUrl });
try {
  await client.connect();
  const owner = await cluster.register("owner");
  const { token } = owner;
  const { id } = await cluster.must<{ id: string }>("POST", "/projects", { token, body: { name: "Launch" } });
  const tasks: string[] = [];
  for (let n = 0; n < TASKS; n++) {
    const body = { title: `Task ${n}`, description: "x".repeat(200) };
    tasks.push((await cluster.must<{ id: string }>("POST", `/projects/${id}/tasks`, { token, body })).id);
  }

  const header = ["", "gateway", "projects", "tasks", "notifier", "Postgres", "all"];
  console.log(header.map((name, at) => (at === 0 ? name.padEnd(34) : name.padStart(10))).join(""));
  async function measure(name: string, times: number, work: (at: number) => Promise<unknown>): Promise<void> {
    await repeat(Math.ceil(times / 10), work);
    const before = await readCpu(await processesOf(cluster, client));
    await repeat(times, work);
    const used = cpuBetween(before, await readCpu(await processesOf(cluster, client)));
    const each = header.slice(1, -1).map((part) => (used.get(part) ?? 0) / 1000 / times);
    const all = each.reduce((sum, ms) => sum + ms, 0);
    console.log(name.padEnd(34) + [...each, all].map((ms) => ms.toFixed(2).padStart(10)).join(""));
  }
  const ask = (method: string, path: string, body?: object) =>
    cluster.must(method, path, { token, ...(body && { body }) });
  let serial = 0;
  const patch = (at: number): Promise<unknown> =>
    ask("PATCH", `/tasks/${tasks[at % TASKS]}`, { title: `Renamed ${serial++}` });
  console.log("CPU milliseconds of each");
  await measure("GET /tasks/{id}", REQUESTS, (at) => ask("GET", `/tasks/${tasks[at % TASKS]}`));
  // Filters that never come again: no answer is in the cache.
  await measure("GET /projects/{id}/tasks, a page", REQUESTS, () =>
    ask("GET", `/projects/${id}/tasks?limit=20&updated_since=2020-01-01T00:00:00.${serial++ % 1000}Z`),
  );
  await measure("PATCH /tasks/{id}, no socket", REQUESTS, patch);

  const bytes = async (): Promise<number> => {
    const each = ["notifier-1", "notifier-2"].map((node) => bytesOf(cluster.pidOf(node)));
    return (await Promise.all(each)).reduce((sum, one) => sum + one, 0);
  };
  const empty = await bytes();
  for (let user = 0; user < USERS; user++) {
    const member = await cluster.register(`member${user}`);
    const body = { user_id: member.id, role: "viewer" };
    await cluster.must("POST", `/projects/${id}/members`, { token, body });
    for (let n = 0; n < SOCKETS; n++)
      for (const url of cluster.notifiers)
        sockets.push(
          io(url, { path: "/ws", transports: ["websocket"], forceNew: true, auth: { token: member.token } }),
        );
  }
  let frames = 0;
  for (const socket of sockets) socket.on("task_updated", () => void (frames += 1));
  if (!(await until(() => sockets.every(({ connected }) => connected), 60_000)))
    throw new Error("the sockets did not connect");
  await measure(`PATCH, to ${sockets.length} sockets`, EVENTS, patch);
  const most = (EVENTS + Math.ceil(EVENTS / 10)) * sockets.length;
  await until(() => frames === most, 30_000);
  const each = ((await bytes()) - empty) / sockets.length / 1024;
  console.log(`${frames} frames of ${most} arrived; a socket holds ${each.toFixed(0)} KiB of its notifier`);
} finally {
  sockets.forEach((socket) => socket.disconnect());
  await client.end();
  await cluster.stop();
}
