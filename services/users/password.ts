import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import bcrypt from "bcrypt";
import pLimit from "p-limit";
import { type Problem, retryLater } from "../../core/errors.ts";

/**
 * bcrypt runs in libuv's four threads, which files and DNS need too, and takes a core each: more than two hashes at
 * once, or one on the last core, slow a whole node down. The rest waits its turn; beyond the bound it is refused, so
 * that a storm of logins slows logins only.
 */
const AT_ONCE = Math.max(1, Math.min(2, availableParallelism() - 1));
const WAITING = 100;
/** Milliseconds. Who waited longer is refused unhashed: their client is about to give up. */
const PATIENCE = 8000;

const turns = pLimit(AT_ONCE);

const overloaded = (): Problem => retryLater("overloaded", "Too many logins at once", 5);

/** @throws Problem overloaded when the queue is full: asked before any other work is done for a login */
export function mustHaveRoom(): void {
  if (turns.pendingCount >= WAITING) throw overloaded();
}

async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  mustHaveRoom();
  const deadline = performance.now() + PATIENCE;
  return turns(() => {
    if (performance.now() > deadline) throw overloaded();
    return work();
  });
}

/** bcrypt reads 72 bytes and no further: hashing first lets every character of a long password count. */
const digest = (password: string): string =>
  createHash("sha256").update(password.normalize("NFC")).digest("base64");

/** @throws Problem overloaded */
export const hashPassword = (password: string, cost: number): Promise<string> =>
  inTurn(() => bcrypt.hash(digest(password), cost));

/** A hash of nothing, so that an unknown account takes as long as a wrong password. One for each cost. */
const decoys = new Map<number, Promise<string>>();

/**
 * Whether `password` belongs to `hash`; false, and just as slow, when there is no hash.
 * @throws Problem overloaded
 */
export async function verifyPassword(password: string, hash: string | null, cost: number): Promise<boolean> {
  if (!decoys.has(cost)) decoys.set(cost, bcrypt.hash("", cost));
  const against = hash ?? (await (decoys.get(cost) as Promise<string>));
  return (await inTurn(() => bcrypt.compare(digest(password), against))) && hash !== null;
}
