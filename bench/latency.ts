/**
 * `npm run bench:latency`: how long does an event take from its commit to a client, when nothing else happens? Changes a
 * task of a cluster 2,000 times (`EVENTS=500` for fewer), one change after the other, and times each event at two sockets,
 * one at each notifier. In turns with that it publishes a text of the same size to Redis, which two processes pass on to a
 * bare WebSocket each (redis-to-ws.ts): the least that a push over a broker costs here. It takes about two minutes.
 *
 * A commit has the time that Postgres gave it (`track_commit_timestamp`). The moment at which the writer learns of it is
 * later, and known to the tasks node alone. Postgres and this process read the same clock. Nothing is flushed to a disk:
 * that would come between the commit's time and the answer, and would measure the disk.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import pg from "pg";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { clockOffset } from "./clock.ts";
import { type BenchCluster, startBenchCluster } from "./cluster.ts";
import type { Write, WriterData } from "./latency-writer.ts";
import { percentile } from "./system.ts";

const EVENTS = Number(process.env.EVENTS ?? 2000);
/** Rounds before those that count: code is compiled and statements are planned by then. */
const WARM_UP = 200;
/** Between an arrival and the next write, so that each finds everything at rest. */
const PAUSE_MS = 5;
const PATIENCE_MS = 10_000;
const CHANNEL = "bench";

interface LoggedEvent {
  id: string;
}

/** What arrives at one client, a message at a time. */
class Arrivals<Message> {
  #waiting = Promise.withResolvers<{ message: Message; at: number }>();

  add(message: Message): void {
    this.#waiting.resolve({ message, at: performance.now() });
  }

  /** @returns the next message, and when it came, by performance.now. @throws Error after PATIENCE_MS */
  async next(): Promise<{ message: Message; at: number }> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    const { promise: never, reject } = Promise.withResolvers<never>();
    const give = () => reject(new Error(`nothing came within ${PATIENCE_MS} ms`));
    late.addEventListener("abort", give);
    try {
      return await Promise.race([this.#waiting.promise, never]);
    } finally {
      late.removeEventListener("abort", give);
      this.#waiting = Promise.withResolvers();
    }
  }
}

async function listen(url: string, token: string, stream: string): Promise<Arrivals<LoggedEvent>> {
  const arrivals = new Arrivals<LoggedEvent>();
  const socket = io(url, {
    path: "/ws",
    auth: { token, streams: [stream] },
    transports: ["websocket"],
    forceNew: true,
  });
  ends.push(() => Promise.resolve(void socket.disconnect()));
  socket.on("task_updated", (event: LoggedEvent) => arrivals.add(event));
  await new Promise((resolve, reject) => socket.once("ready", resolve).once("connect_error", reject));
  return arrivals;
}

async function listenRaw(redisUrl: string): Promise<Arrivals<string>> {
  const arrivals = new Arrivals<string>();
  const relay: ChildProcess = fork(new URL("redis-to-ws.ts", import.meta.url), [redisUrl, CHANNEL]);
  ends.push(async () => void (relay.kill() && (await once(relay, "exit"))));
  const [port] = (await once(relay, "message")) as [number];
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
  ends.push(() => Promise.resolve(socket.terminate()));
  socket.on("message", (data: Buffer) => arrivals.add(data.toString()));
  await once(socket, "open");
  return arrivals;
}

/** @returns what makes a write and tells when it began, in milliseconds since 1970 */
function startWriter(workerData: WriterData): (write: Write) => Promise<number> {
  const worker = new Worker(new URL("latency-writer.ts", import.meta.url), { workerData });
  ends.push(async () => void (await worker.terminate()));
  return async (write) => {
    worker.postMessage(write);
    const [answer] = (await once(worker, "message")) as [number | string];
    if (typeof answer === "string") throw new Error(answer);
    return answer;
  };
}

interface Row {
  name: string;
  times: number[];
}

function print(rows: Row[]): void {
  const figure = (times: number[], share: number) => percentile(times, share).toFixed(3).padStart(9);
  console.log(
    `${"commit → client, ms".padEnd(34)}${["p50", "p90", "p99", "max"].map((name) => name.padStart(9)).join("")}`,
  );
  for (const { name, times } of rows)
    console.log(name.padEnd(34) + [0.5, 0.9, 0.99, 0.99999].map((share) => figure(times, share)).join(""));
}

const ends: (() => Promise<void>)[] = [];

async function commitTimes(databaseUrl: string, stream: string): Promise<Map<string, number>> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query<{ id: string; committed: number }>(
    `SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 * 1000 AS committed
     FROM events.log WHERE stream = $1`,
    [stream],
  );
  await client.end();
  return new Map(rows.map(({ id, committed }) => [id, committed]));
}

async function run(cluster: BenchCluster): Promise<void> {
  const { id: user, token } = await cluster.register("bench");
  const stream = `user:${user}`;
  const task = await cluster.must<{ id: string }>("POST", "/tasks", { token, body: { title: "Pushed" } });
  const clients = await Promise.all(cluster.notifiers.map((url) => listen(url, token, stream)));
  const bare = await Promise.all([listenRaw(cluster.redisUrl), listenRaw(cluster.redisUrl)]);
  const write = startWriter({ port: cluster.port, token, redisUrl: cluster.redisUrl });

  const pushed: { id: string; at: number }[][] = [[], []];
  const raw: number[][] = [[], []];
  for (let round = -WARM_UP; round < EVENTS; round++) {
    if (round % 500 === 0) console.log(round < 0 ? "warming up" : `${round} of ${EVENTS} events`);
    const offset = clockOffset();
    await delay(PAUSE_MS);
    const body = { title: `Pushed ${round}` };
    const [events] = await Promise.all([
      Promise.all(clients.map((client) => client.next())),
      write({ path: `/tasks/${task.id}`, body }),
    ]);
    await delay(PAUSE_MS);
    const [passed, published] = await Promise.all([
      Promise.all(bare.map((client) => client.next())),
      write({ channel: CHANNEL, text: JSON.stringify(events[0]?.message) }),
    ]);
    if (round < 0) continue;
    events.forEach(({ message, at }, n) => pushed[n]?.push({ id: message.id, at: at + offset }));
    passed.forEach(({ at }, n) => raw[n]?.push(at + offset - published));
  }

  const committed = await commitTimes(cluster.databaseUrl, stream);
  const [first, second] = pushed.map((seen) => seen.map(({ id, at }) => at - (committed.get(id) ?? NaN)));
  const all = [...(first ?? []), ...(second ?? [])];
  const floor = raw.flat();
  print([
    { name: "Taskwire, client of notifier-1", times: first ?? [] },
    { name: "Taskwire, client of notifier-2", times: second ?? [] },
    { name: "Taskwire, both", times: all },
    { name: "Redis publish → ws, both", times: floor },
  ]);
  const ratio = (share: number) => (percentile(all, share) / percentile(floor, share)).toFixed(2);
  console.log(`ratio: p50 ${ratio(0.5)} ×, p99 ${ratio(0.99)} × (${EVENTS} events, each at two clients)`);
}

const cluster = await startBenchCluster(["track_commit_timestamp = on"]);
try {
  await run(cluster);
} finally {
  for (const end of ends.reverse()) await end();
  await cluster.stop();
}
