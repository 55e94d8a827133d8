import { v7, validate, version } from "uuid";
import { randomPart } from "./random.ts";

/** The time of the last id, in milliseconds since 1970, and its number within it. */
let [msecs, seq] = [0, 0];

/** A new UUIDv7 (RFC 9562 §5.7): time-ordered, so that new rows land at the end of an index. Ids of one process ascend. */
export function newId(): string {
  const random = randomPart(16);
  const now = Date.now();
  // As `uuid` does it by itself; with random bytes of ours it counts nothing.
  if (now > msecs) [msecs, seq] = [now, random.readUInt32BE(6) >>> 1];
  else if ((seq = (seq + 1) | 0) === 0) msecs += 1;
  return v7({ random, msecs, seq });
}

/** Whether `value` is written as a UUID of any version. */
export const isId = (value: string): boolean => validate(value) && version(value) > 0;
