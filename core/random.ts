import { randomFillSync } from "node:crypto";

/** Many bytes are drawn at once: a draw costs as much as some thousand of them. */
const pool = Buffer.alloc(8192);
let used = pool.length;

/**
 * Random bytes for ids, fit for secrets too.
 * @param count at most 8,192
 * @returns a part of a buffer that others get later: to be read in this turn
 */
export function randomPart(count: number): Buffer {
  if (used + count > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  return pool.subarray(used, (used += count));
}
