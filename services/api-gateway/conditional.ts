/** Conditional requests and retries (docs/reference.md, Optimistic concurrency; docs/reference.md, Idempotency; RFC 9110 §13, RFC 6585 §3, draft-ietf-httpapi-idempotency-key-header). */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import type { Actor, Conditions } from "../../core/kit.ts";

type WithHeaders = Pick<IncomingMessage, "headers">;

/** A list may be empty and have empty places (RFC 9110 §5.6.1.2): those name nothing. */
const TAGS = /^[\s,]*(?:(?:W\/)?"[\x21\x23-\x7E\x80-\xFF]*"\s*(?:,[\s,]*|$))*$/;
const PRINTABLE = /^[\x20-\x7E]{1,255}$/;

/** The tags of an `If-Match` or `If-None-Match`; `*` for any. @throws Problem malformed-request */
function tagsOf(name: string, value: string): string[] | "*" {
  if (value.trim() === "*") return "*";
  if (!TAGS.test(value)) throw new Problem("malformed-request", `${name} must be * or a list of entity tags`);
  return value.match(/(?:W\/)?"[^"]*"/g) ?? [];
}

/**
 * A tag as we gave it, without what proxies make of one that they compress on the way: `W/"8"` (nginx), `"8-gzip"`
 * (Apache), `"8;gzip"` and `"8--gzip"` (Jetty, Traefik).
 */
const asGiven = (tag: string): string =>
  tag.replace(/^W\//, "").replace(/(?:--?|;)(?:gzip|br|deflate|zstd)"$/, '"');

/** The version that an entity tag of ours is made of; null for others. */
function versionOf(tag: string): number | null {
  const [, version] = /^"(\d{1,15})(?:-[0-9a-f]+)?"$/.exec(asGiven(tag)) ?? [];
  return version === undefined ? null : Number(version);
}

/** @throws Problem malformed-request; precondition-required */
export function readIfMatch({ headers }: WithHeaders, required: boolean): Conditions["ifMatch"] {
  const value = headers["if-match"];
  if (value === undefined) {
    if (required) throw new Problem("precondition-required");
    return null;
  }
  const tags = tagsOf("If-Match", value);
  return tags === "*" ? null : tags.map(versionOf).filter((version) => version !== null);
}

/** For JSON in which the order of an object's members tells nothing. */
const inOrder = (_name: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/**
 * The key of a write that may come again. A client that gives none gets one for this request alone, by which the gateway
 * can send it a second time when a node dies under it.
 * @throws Problem malformed-request
 */
export function readIdempotencyKey(
  { headers }: WithHeaders,
  action: string,
  params: object,
  actor: Actor | null | undefined,
): Conditions["key"] {
  const given = headers["idempotency-key"];
  if (given !== undefined && (typeof given !== "string" || !PRINTABLE.test(given)))
    throw new Problem("malformed-request", "Idempotency-Key must have 1 to 255 printable ASCII characters");
  // Keys are a user's. A token that reaches less than its owner must not be told an answer that was the owner's.
  const asker = actor?.projects === undefined ? "" : ` ${actor.session}`;
  const fingerprint = createHash("sha256")
    .update(`${action}${asker} ${JSON.stringify(params, inOrder)}`)
    .digest("base64url");
  return { key: given ?? newId(), fingerprint, generated: given === undefined };
}

/**
 * For a creating POST that can't keep a key: a client that sends one counts on a promise that nobody makes.
 * @throws Problem malformed-request
 */
export function mustHaveNoKey({ headers }: WithHeaders, reason: string): void {
  if (headers["idempotency-key"] !== undefined)
    throw new Problem("malformed-request", `This operation does not accept Idempotency-Key: ${reason}`);
}

interface Versioned {
  version?: number;
  updated_at?: string;
}

/** A user has no version to show: the time of the last change, which each one moves, stands for it. */
const numberOf = ({ version, updated_at }: Versioned): number | null =>
  version ?? (updated_at === undefined ? null : Date.parse(updated_at));

/**
 * The strong entity tag of an answer: the row's version, by which `If-Match` goes. What is read brings more than its row
 * (names, counts, your role), so its tag has a digest of the whole besides: `If-None-Match` misses none of that.
 * @param body of an answer to GET; null for what a write answers
 */
export function entityTag(answer: Versioned, body: string | null): string {
  const version = numberOf(answer) ?? "";
  if (body === null) return `"${version}"`;
  return `"${version}-${createHash("sha1").update(body).digest("hex").slice(0, 12)}"`;
}

/** Whether the client has this representation already (RFC 9110 §13.1.2, weak comparison). @throws Problem malformed-request */
export function isFresh(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  const tags = tagsOf("If-None-Match", ifNoneMatch);
  return tags === "*" || tags.some((one) => asGiven(one) === asGiven(tag));
}
