/**
 * The writer of `npm run bench:latency`, as a worker thread: its responses must not delay what arrives at the listeners.
 * It takes one `Write` after another, and answers each, when it is done, with the time of day at which it began.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Redis } from "ioredis";
import { connect } from "nats";
import pg from "pg";
import { natsOptions } from "../core/nats-options.ts";
import { clientOf } from "./system.ts";
import { clockOffset } from "./clock.ts";

export interface WriterData {
  port: number;
  token: string;
  redisUrl: string;
  natsUrl: string;
  databaseUrl: string;
}

/** A change of a task; a text for a channel of Redis; a row of `bench`, whose text goes to a subject of NATS once it is committed. */
export type Write =
  | { path: string; body: object }
  | { channel: string; text: string }
  | { subject: string; id: number; text: string };

const { port, token, redisUrl, natsUrl, databaseUrl } = workerData as WriterData;
const api = clientOf(port);
const redis = new Redis(redisUrl);
const nats = await connect(natsOptions(natsUrl));
const postgres = new pg.Client(databaseUrl);
await postgres.connect();

async function commitAndPublish(subject: string, id: number, text: string): Promise<void> {
  await postgres.query({ name: "insert", text: "INSERT INTO bench VALUES ($1, $2)", values: [id, text] });
  nats.publish(subject, text);
}

async function write(what: Write): Promise<number> {
  const began = clockOffset() + performance.now();
  if ("path" in what) await api.must("PATCH", what.path, { token, body: what.body });
  else if ("channel" in what) await redis.publish(what.channel, what.text);
  else await commitAndPublish(what.subject, what.id, what.text);
  return began;
}

parentPort?.on("message", (what: Write) => {
  write(what).then(
    (began) => parentPort?.postMessage(began),
    (error: Error) => parentPort?.postMessage(error.message),
  );
});
