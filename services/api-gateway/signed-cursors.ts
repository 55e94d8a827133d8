/**
 * Cursors as clients hold them: the position where a page ended, signed for one caller and one list. The gateway refuses
 * an altered cursor, or one of another list, before a service reads it. Services know plain positions alone.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from "node:crypto";
import { invalidCursor } from "../../mixins/listing.ts";

const SIGNATURE_BYTES = 16;
const KEY_BYTES = 32;

/** A list as one caller asked for it: path, filters and order, whatever the page. */
export function scopeOf(callerId: string, path: string, query: Record<string, unknown>): string {
  const { cursor: _cursor, limit: _limit, offset: _offset, ...filters } = query;
  const sorted = Object.entries(filters).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([callerId, path, sorted]);
}

export type CursorSigner = ReturnType<typeof createCursorSigner>;

/** A KeyObject: of bytes, each HMAC would make one. */
const keyOf = (secret: string): KeyObject =>
  createSecretKey(Buffer.from(hkdfSync("sha256", secret, "", "taskwire cursors", KEY_BYTES)));

/**
 * @param secret that all gateways share
 * @param previous another one, whose cursors are accepted too while the secret is rotated; empty for none
 */
export function createCursorSigner(secret: string, previous = "") {
  const current = keyOf(secret);
  const keys = [current, ...(previous === "" ? [] : [keyOf(previous)])];
  const signatureOf = (position: string, scope: string, key = current): Buffer =>
    createHmac("sha256", key).update(`${scope}\n${position}`).digest().subarray(0, SIGNATURE_BYTES);

  return {
    sign: (position: string, scope: string): string =>
      Buffer.concat([signatureOf(position, scope), Buffer.from(position)]).toString("base64url"),

    /** @returns the position in a cursor @throws Problem validation-failed */
    verify(cursor: string, scope: string): string {
      const bytes = Buffer.from(cursor, "base64url");
      const position = bytes.subarray(SIGNATURE_BYTES).toString();
      const isWhole = bytes.length > SIGNATURE_BYTES && bytes.toString("base64url") === cursor;
      const signature = bytes.subarray(0, SIGNATURE_BYTES);
      const isSigned = (key: KeyObject): boolean =>
        timingSafeEqual(signature, signatureOf(position, scope, key));
      if (!isWhole || !keys.some(isSigned)) throw invalidCursor();
      return position;
    },
  };
}
