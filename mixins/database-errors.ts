/** Postgres' and pg's errors: what they mean to a client, and to the statement that met them. */
import { Problem, problemCode, PROBLEMS, retryLater } from "../core/errors.ts";

/** A write that reached a standby: the name of the primary has moved, or it has become a standby itself. */
const READ_ONLY = "25006";
/** Whether a write found Postgres read-only. */
export const foundReadOnly = (error: unknown): boolean => (error as { code?: string }).code === READ_ONLY;
/** SQLSTATEs by which Postgres is away: connection, resources, operator intervention, and a standby in its place. */
const AWAY = /^(08|53|57P|25006)/;
const UNREACHABLE = [
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
];
/** pg's messages for a connection that is lost or was never made. */
const LOST = /^(Connection terminated|timeout expired|Client (has encountered|was closed))/;
/** pg's messages for connections that are all in use, and for a result that did not come in time. */
const BUSY = /^timeout exceeded/;
const SILENT = /^Query read timeout/;

/** The unique constraint that a write violated (`23503`: the foreign key); null when `error` is another error. */
export function violatedConstraint(error: unknown, sqlState: "23505" | "23503" = "23505"): string | null {
  const { code, constraint } = error as { code?: string; constraint?: string };
  return code === sqlState ? (constraint ?? "") : null;
}

/**
 * The problem that a client sees of a database error: Postgres is away, busy or slow, or can't store the text. A statement
 * that was sent and not answered in time was slow: only a failed connection means that Postgres is away.
 */
export function databaseProblem(error: unknown): unknown {
  const {
    code = "",
    message = "",
    where = "",
  } = error as { code?: string; message?: string; where?: string };
  if (AWAY.test(code) || UNREACHABLE.includes(code) || LOST.test(message))
    return retryLater("database-unavailable");
  if (BUSY.test(message)) return retryLater("overloaded", "All connections to the database are in use");
  // The request that holds the same idempotency key has not committed yet (mixins/idempotency.ts).
  if (code === "55P03" && where.includes('relation "keys_pkey"'))
    return retryLater("idempotency-key-in-flight");
  // A deadlock, which the order of locks should prevent: Postgres undid one of the two writes.
  if (code === "40P01") return retryLater("overloaded", "Two writes stood in each other's way");
  if (code === "57014" || code === "55P03" || SILENT.test(message))
    return retryLater("timeout", "The database took too long");
  if (code === "22021" || code === "22P05")
    return new Problem("validation-failed", "Text must not contain the character U+0000");
  return error;
}

/** Whether a failed statement has certainly changed nothing: Postgres refused it. One without an answer may yet commit. */
export function isRefusal(error: unknown): boolean {
  const code = problemCode(error);
  if (code !== null) return PROBLEMS[code].status < 500;
  return /^[0-9A-Z]{5}$/.test(String((error as { code?: unknown }).code));
}
