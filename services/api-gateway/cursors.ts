/**
 * Cursors as clients hold them: where a page ended, sealed for one caller and one list, so that an altered cursor or one of
 * somebody else's list is refused before it is read. Services know plain positions alone.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { invalidCursor } from "../../mixins/listing.ts";

/** Bytes. */
const SEAL = 16;

/** A list as one caller asked for it: path, filters and order, whatever the page. */
export function scopeOf(callerId: string, path: string, query: Record<string, unknown>): string {
  const { cursor: _cursor, limit: _limit, offset: _offset, ...filters } = query;
  const sorted = Object.entries(filters).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([callerId, path, sorted]);
}

export type Cursors = ReturnType<typeof createCursors>;

/** @param secret that all gateways share */
export function createCursors(secret: string) {
  const key = Buffer.from(hkdfSync("sha256", secret, "", "taskwire cursors", 32));
  const sealOf = (position: string, scope: string): Buffer =>
    createHmac("sha256", key).update(`${scope}\n${position}`).digest().subarray(0, SEAL);

  return {
    seal: (position: string, scope: string): string =>
      Buffer.concat([sealOf(position, scope), Buffer.from(position)]).toString("base64url"),

    /** The position in a cursor. @throws Problem validation-failed */
    open(cursor: string, scope: string): string {
      const bytes = Buffer.from(cursor, "base64url");
      const position = bytes.subarray(SEAL).toString();
      const whole = bytes.length > SEAL && bytes.toString("base64url") === cursor;
      if (!whole || !timingSafeEqual(bytes.subarray(0, SEAL), sealOf(position, scope))) throw invalidCursor();
      return position;
    },
  };
}
