import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import pLimit from "p-limit";
import { type Problem, retryLater } from "../../core/errors.ts";
import { compare, hash } from "./hash-threads.ts";
import type { UserRow } from "./users.model.ts";

/**
 * Each hash takes a core: more than two at once, or one on the last core, slow the whole node down. Further hashes wait for
 * their turn, and beyond a bound they are refused, so a storm of logins slows logins only.
 */
const CONCURRENT_HASHES = Math.max(1, Math.min(2, availableParallelism() - 1));
const MAX_WAITING_HASHES = 100;
/** Milliseconds. A hash that waited longer is refused: its client is about to give up. */
const MAX_WAIT_MS = 8000;

const turns = pLimit(CONCURRENT_HASHES);

const overloaded = (): Problem => retryLater("overloaded", "Too many logins at once", 5);

/** Hashes that wait for their turn. */
export const waitingHashes = (): number => turns.pendingCount;

/** Asked before a login costs anything else. @throws Problem overloaded when the queue is full */
export function mustHaveRoom(): void {
  if (turns.pendingCount >= MAX_WAITING_HASHES) throw overloaded();
}

async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  mustHaveRoom();
  const deadline = performance.now() + MAX_WAIT_MS;
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
  inTurn(() => hash(digest(password), cost));

/** What looks like a hash: with it, an unknown account takes as long as a wrong password. */
const decoyOf = (cost: number): string => `$2b$${String(cost).padStart(2, "0")}$${".".repeat(53)}`;

/**
 * Whether `password` belongs to the hash that is stored; false, and just as slow, where none is.
 * @throws Problem overloaded
 */
export async function verifyPassword(
  password: string,
  stored: string | null,
  cost: number,
): Promise<boolean> {
  const against = stored ?? decoyOf(cost);
  return (await inTurn(() => compare(digest(password), against))) && stored !== null;
}

/**
 * The account, if it is active and has this password; else null, just as late.
 * @throws Problem overloaded
 */
export async function checkPassword(
  account: UserRow | null,
  password: string,
  cost: number,
): Promise<UserRow | null> {
  // An erased account has the empty text for a hash.
  const hash = account?.is_active === true ? account.password_hash || null : null;
  return (await verifyPassword(password, hash, cost)) ? account : null;
}
