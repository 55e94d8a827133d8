import { invalidField, Problem } from "../../core/errors.ts";
import type { Position } from "../../core/events.ts";
import { isId } from "../../core/ids.ts";
import { isStreamName } from "./notifier.queries.ts";

/** Streams that one socket may have open. */
export const MAX_STREAMS = 5000;

export interface Handshake {
  token: string;
  /** Null for the streams that a client gets by default. */
  streams: string[] | null;
  cursors: Map<string, Position>;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const invalid = (field: string, message: string): Problem => invalidField(field, "invalid", message);

export function parseStream(value: unknown, field: string): string {
  if (typeof value === "string" && isStreamName(value)) return value;
  throw invalid(field, "A stream's name is project:<id> or user:<id>");
}

export const tooManyStreams = (): Problem =>
  new Problem("too-many-streams", `A socket can have at most ${MAX_STREAMS.toLocaleString("en")} streams`);

/** A cursor names the last event that the client has: `{seq, id}`, or its `seq` alone, which is not checked. */
export function parseCursor(value: unknown, field: string): Position {
  const { seq, id = null } = isRecord(value) ? value : { seq: value };
  if (!Number.isSafeInteger(seq) || (seq as number) < 0)
    throw invalid(field, "A cursor is a whole number, 0 or more, or {seq, id} with such a seq");
  if (id !== null && !(typeof id === "string" && isId(id)))
    throw invalid(field, "A cursor's id is the id of the event with its seq, or null");
  return { seq: seq as number, id: seq === 0 || id === null ? null : id.toLowerCase() };
}

/**
 * The handshake of a client (docs/reference.md, Connecting): `auth: {token, streams?, cursors?}`.
 * @throws Problem unauthenticated without a token; validation-failed; too-many-streams
 */
export function parseHandshake(auth: unknown): Handshake {
  if (!isRecord(auth) || typeof auth.token !== "string" || auth.token === "")
    throw new Problem("unauthenticated", "Connect with auth: {token: <access_token>}");
  const { streams = null, cursors = {} } = auth;
  if (streams !== null && !Array.isArray(streams))
    throw invalid("streams", "`streams` must be an array of stream names");
  if (!isRecord(cursors))
    throw invalid("cursors", "`cursors` must be an object that has a cursor for each stream name");
  if ((streams?.length ?? 0) > MAX_STREAMS || Object.keys(cursors).length > MAX_STREAMS)
    throw tooManyStreams();
  return {
    token: auth.token,
    streams: streams?.map((name, at) => parseStream(name, `streams/${at}`)) ?? null,
    cursors: new Map(
      Object.entries(cursors).map(([name, cursor]) => [
        parseStream(name, "cursors"),
        parseCursor(cursor, `cursors/${name}`),
      ]),
    ),
  };
}
