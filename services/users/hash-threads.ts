/**
 * Threads that hash passwords. A hash takes a core for a quarter of a second, and whoever logs in can wait: these threads have
 * a lower priority than all others, so that the requests of others go on. They begin with the first hash, end with the
 * service, and hold up no process that ends. The caller bounds how many hash at once (password.ts).
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { HashAnswer, HashJob } from "./hash-thread.ts";

/** Threads that wait for work. */
const idle: Worker[] = [];

function begin(): Worker {
  const thread = new Worker(new URL("./hash-thread.ts", import.meta.url));
  // One that dies while it waits is no loss.
  thread.on("error", () => {});
  thread.once("exit", () => {
    const place = idle.indexOf(thread);
    if (place !== -1) idle.splice(place, 1);
  });
  return thread;
}

/** @throws Error when the thread dies, or bcrypt refuses what it is given */
async function run(job: HashJob): Promise<string | boolean> {
  const thread = idle.pop() ?? begin();
  const over = new AbortController();
  thread.ref();
  try {
    thread.postMessage(job);
    const [answer] = (await Promise.race([
      once(thread, "message", over),
      once(thread, "exit", over).then(() => [{ error: "the thread that hashes ended" }]),
    ])) as [HashAnswer];
    if ("error" in answer) throw new Error(answer.error);
    idle.push(thread);
    return answer.result;
  } finally {
    over.abort();
    thread.unref();
  }
}

/** Ends the threads that wait for work. The next hash begins another one. */
export async function endThreads(): Promise<void> {
  await Promise.all(idle.splice(0).map((thread) => thread.terminate()));
}

/** @param cost bcrypt's: each step doubles the time @returns the hash */
export const hash = async (password: string, cost: number): Promise<string> =>
  (await run({ password, cost })) as string;

/** Whether `hashed` is a hash of `password`. */
export const compare = async (password: string, hashed: string): Promise<boolean> =>
  (await run({ password, hash: hashed })) as boolean;
