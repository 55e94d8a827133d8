/**
 * `npm run bench:latency`: how long does an event take from its commit to a client, when nothing else happens? Changes a
 * task of a cluster 2,000 times (`EVENTS=500` for fewer), one change after the other, and times each event at two sockets,
 * one at each notifier. In turns with that it publishes a text of the same size to Redis, which two processes pass on to a
 * bare WebSocket each (broker-to-ws.ts): the least that a push over a broker costs here. The third in turn is a row that is
 * committed and then published to NATS, for the same two processes: the least that a push after a commit costs. All
 * listeners are bare WebSockets in one process. It takes about three minutes.
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

/** A bare WebSocket. @param hear gets each of its texts, with what answers the server */
async function openSocket(
  url: string,
  hear: (text: string, send: (text: string) => void) => void,
): Promise<void> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  ends.push(() => Promise.resolve(socket.terminate()));
  socket.on("message", (data: Buffer) => hear(data.toString(), (text) => socket.send(text)));
  await once(socket, "open");
}

/** A client of a notifier, as docs/write-a-client.md says. */
async function listen(url: string, token: string, stream: string): Promise<Arrivals<LoggedEvent>> {
  const arrivals = new Arrivals<LoggedEvent>();
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  await openSocket(`${url.replace("http", "ws")}/ws/?EIO=4&transport=websocket`, (text, send) => {
    if (text.startsWith("0")) send(`40${JSON.stringify({ token, streams: [stream] })}`);
    else if (text === "2") send("3");
    else if (text.startsWith('42["ready"')) resolve();
    else if (text.startsWith('42["task_updated"'))
      arrivals.add((JSON.parse(text.slice(2)) as [string, LoggedEvent])[1]);
  });
  await ready;
  return arrivals;
}

async function listenRaw({ redisUrl, natsUrl }: BenchCluster): Promise<Arrivals<string>> {
  const arrivals = new Arrivals<string>();
  const relay: ChildProcess = fork(new URL("broker-to-ws.ts", import.meta.url), [redisUrl, natsUrl, CHANNEL]);
  ends.push(async () => void (relay.kill() && (await once(relay, "exit"))));
  const [port] = (await once(relay, "message")) as [number];
  await openSocket(`ws://127.0.0.1:${port}`, (text) => {
    JSON.parse(text);
    arrivals.add(text);
  });
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
  console.log(`${"ms".padEnd(34)}${["p50", "p90", "p99", "max"].map((name) => name.padStart(9)).join("")}`);
  for (const { name, times } of rows)
    console.log(name.padEnd(34) + [0.5, 0.9, 0.99, 0.99999].map((share) => figure(times, share)).join(""));
}

const ends: (() => Promise<void>)[] = [];

/** When each row was committed, in milliseconds since 1970, by its id. */
async function commitTimes(client: pg.Client, table: string): Promise<Map<string, number>> {
  const { rows } = await client.query<{ id: string; committed: number }>(
    `SELECT id::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 * 1000 AS committed FROM ${table}`,
  );
  return new Map(rows.map(({ id, committed }) => [id, committed]));
}

async function run(cluster: BenchCluster): Promise<void> {
  const { id: user, token } = await cluster.register("bench");
  const stream = `user:${user}`;
  const task = await cluster.must<{ id: string }>("POST", "/tasks", { token, body: { title: "Pushed" } });
  const clients = await Promise.all(cluster.notifiers.map((url) => listen(url, token, stream)));
  const bare = await Promise.all([listenRaw(cluster), listenRaw(cluster)]);
  const postgres = new pg.Client(cluster.databaseUrl);
  await postgres.connect();
  ends.push(() => postgres.end());
  await postgres.query("CREATE TABLE bench (id int, text text)");
  const { port, redisUrl, natsUrl, databaseUrl } = cluster;
  const write = startWriter({ port, token, redisUrl, natsUrl, databaseUrl });

  type Seen = { id: string; at: number };
  const [pushed, committed]: [Seen[], Seen[]] = [[], []];
  const raw: number[] = [];
  for (let round = -WARM_UP; round < EVENTS; round++) {
    if (round % 500 === 0) console.log(round < 0 ? "warming up" : `${round} of ${EVENTS} events`);
    const offset = clockOffset();
    await delay(PAUSE_MS);
    const body = { title: `Pushed ${round}` };
    const [events] = await Promise.all([
      Promise.all(clients.map((client) => client.next())),
      write({ path: `/tasks/${task.id}`, body }),
    ]);
    const text = JSON.stringify(events[0]?.message);
    await delay(PAUSE_MS);
    const [passed, began] = await Promise.all([
      Promise.all(bare.map((client) => client.next())),
      write({ channel: CHANNEL, text }),
    ]);
    await delay(PAUSE_MS);
    const [told] = await Promise.all([
      Promise.all(bare.map((client) => client.next())),
      write({ subject: CHANNEL, id: round, text }),
    ]);
    if (round < 0) continue;
    for (const { message, at } of events) pushed.push({ id: message.id, at: at + offset });
    for (const { at } of passed) raw.push(at + offset - began);
    for (const { at } of told) committed.push({ id: String(round), at: at + offset });
  }

  const since = (seen: Seen[], times: Map<string, number>) =>
    seen.map(({ id, at }) => at - (times.get(id) ?? NaN));
  const all = since(pushed, await commitTimes(postgres, "events.log"));
  const floor = since(committed, await commitTimes(postgres, "bench"));
  print([
    { name: "Taskwire, commit → client", times: all },
    { name: "bare, commit → NATS → client", times: floor },
    { name: "bare, Redis publish → client", times: raw },
  ]);
  const ratios = (times: number[]) =>
    [0.5, 0.99]
      .map((share) => (percentile(times, share) / percentile(raw, share)).toFixed(2))
      .join(" ×, p99 ");
  console.log(`÷ Redis: Taskwire p50 ${ratios(all)} ×, commit → NATS p50 ${ratios(floor)} ×`);
  console.log(`(${EVENTS} events, each at two clients)`);
}

const cluster = await startBenchCluster(["track_commit_timestamp = on"]);
try {
  await run(cluster);
} finally {
  for (const end of ends.reverse()) await end();
  await cluster.stop();
}
