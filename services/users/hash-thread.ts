/** Hashes passwords in a thread of its own (hash-threads.ts): one message asks, one answers. */
import { getPriority, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import bcrypt from "bcrypt";

/** What is asked: the hash of a password, or whether a hash is the password's. */
export type HashJob = { password: string } & ({ cost: number } | { hash: string });

/** The answer: a hash, or whether it matches; or why there is none. */
export type HashAnswer = { result: string | boolean } | { error: string };

/** Added to the niceness of the process: the thread gets a quarter of a core that another one wants, too. */
const NICER = 5;
const NICEST = 19;

// On Linux the priority is the calling thread's, elsewhere the process'.
if (process.platform === "linux")
  try {
    setPriority(Math.min(getPriority() + NICER, NICEST));
  } catch {
    // A sandbox forbids it: hashes are as important as everything else then.
  }

function answerTo(job: HashJob): HashAnswer {
  try {
    if ("cost" in job) return { result: bcrypt.hashSync(job.password, job.cost) };
    return { result: bcrypt.compareSync(job.password, job.hash) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

parentPort?.on("message", (job: HashJob) => parentPort?.postMessage(answerTo(job)));
