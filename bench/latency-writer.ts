/**
 * The writer of `npm run bench:latency`, as a worker thread: its responses must not delay what arrives at the listeners.
 * It takes one `Write` after another, and answers each, when it is done, with the time of day at which it began.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Redis } from "ioredis";
import { clientOf } from "./system.ts";
import { clockOffset } from "./clock.ts";

export interface WriterData {
  port: number;
  token: string;
  redisUrl: string;
}

/** A change of a task, or a text for a channel of Redis. */
export type Write = { path: string; body: object } | { channel: string; text: string };

const { port, token, redisUrl } = workerData as WriterData;
const api = clientOf(port);
const redis = new Redis(redisUrl);

async function write(what: Write): Promise<number> {
  const began = clockOffset() + performance.now();
  if ("path" in what) await api.must("PATCH", what.path, { token, body: what.body });
  else await redis.publish(what.channel, what.text);
  return began;
}

parentPort?.on("message", (what: Write) => {
  write(what).then(
    (began) => parentPort?.postMessage(began),
    (error: Error) => parentPort?.postMessage(error.message),
  );
});
