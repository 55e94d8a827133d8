/** Conditional requests and retries (docs/reference.md, Optimistic concurrency; docs/reference.md, Idempotency; RFC 9110 §13, RFC 6585 §3, draft-ietf-httpapi-idempotency-key-header). */
import { createHash, hash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import type { Actor, Conditions } from "../../core/kit.ts";

type WithHeaders = Pick<IncomingMessage, "headers">;

/** A list may have empty elements, which are ignored (RFC 9110 §5.6.1.2). */
const TAGS = /^[\s,]*(?:(?:W\/)?"[\x21\x23-\x7E\x80-\xFF]*"\s*(?:,[\s,]*|$))*$/;
const PRINTABLE = /^[\x20-\x7E]{1,255}$/;

/** The tags of an `If-Match` or `If-None-Match`; `*` for any. @throws Problem malformed-request */
function tagsOf(name: string, value: string): string[] | "*" {
  if (value.trim() === "*") return "*";
  if (!TAGS.test(value)) throw new Problem("malformed-request", `${name} must be * or a list of entity tags`);
  return value.match(/(?:W\/)?"[^"]*"/g) ?? [];
}

/**
 * The tag that the gateway sent. Proxies that compress a response change its tag: `W/"8"` (nginx), `"8-gzip"` (Apache),
 * `"8;gzip"` and `"8--gzip"` (Jetty, Traefik).
 */
const asSent = (tag: string): string =>
  tag.replace(/^W\//, "").replace(/(?:--?|;)(?:gzip|br|deflate|zstd)"$/, '"');

/** The version in an entity tag; null for a tag that the gateway never sent. */
function versionOf(tag: string): number | null {
  const [, version] = /^"(\d{1,15})(?:-[0-9a-f]+)?"$/.exec(asSent(tag)) ?? [];
  return version === undefined ? null : Number(version);
}

/** @throws Problem malformed-request; precondition-required where the header is `required` */
export function readIfMatch({ headers }: WithHeaders, required: boolean): Conditions["ifMatch"] {
  const value = headers["if-match"];
  if (value === undefined) {
    if (required) throw new Problem("precondition-required");
    return null;
  }
  const tags = tagsOf("If-Match", value);
  return tags === "*" ? null : tags.map(versionOf).filter((version) => version !== null);
}

/** A replacer of JSON.stringify that sorts the members of objects. */
const sortMembers = (_name: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/**
 * The idempotency key of a write. A request without one gets a key of its own, so that the gateway can send it a second
 * time when the node that runs it dies.
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
  // Nobody else can send it, so it can't come with other params.
  if (given === undefined) return { key: newId(), fingerprint: "", generated: true };
  // Keys belong to a user. A token limited to some projects must not get the stored response of its owner's request.
  const limitedTo = actor?.projects === undefined ? "" : ` ${actor.session}`;
  const fingerprint = createHash("sha256")
    .update(`${action}${limitedTo} ${JSON.stringify(params, sortMembers)}`)
    .digest("base64url");
  return { key: given, fingerprint, generated: false };
}

/**
 * For a creating POST that cannot store a response: a client that sends a key relies on a promise that is not made.
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

/** The version of a resource. A user has none: the time of the last change, which every change moves, replaces it. */
const numberOf = ({ version, updated_at }: Versioned): number | null =>
  version ?? (updated_at === undefined ? null : Date.parse(updated_at));

/**
 * The strong entity tag of a response: the version of the row, which `If-Match` compares. The response to a read has more
 * than its row (names, counts, your role), so a digest of the whole body follows, which `If-None-Match` compares.
 * @param body of the response to a read; null for a write
 */
export function entityTag(resource: Versioned, body: string | null): string {
  const version = numberOf(resource) ?? "";
  if (body === null) return `"${version}"`;
  return `"${version}-${hash("sha1", body, "hex").slice(0, 12)}"`;
}

/** Whether the client has this representation already (RFC 9110 §13.1.2, weak comparison). @throws Problem malformed-request */
export function isFresh(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  const tags = tagsOf("If-None-Match", ifNoneMatch);
  return tags === "*" || tags.some((one) => asSent(one) === asSent(tag));
}
