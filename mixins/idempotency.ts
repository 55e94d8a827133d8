/**
 * Idempotency keys (docs/reference.md, Idempotency): a write that a client sends twice happens once, with one response.
 *
 * The write's own statement inserts the key and the response as a row. A second request, however soon, waits for the first
 * to commit, fails on the row's primary key, writes nothing, and finds the response there. A crash leaves both the write
 * and its key, or neither. Only a failed write looks for its key, so a success costs no query.
 */
import { Problem, problemCode, type ProblemCode, PROBLEMS } from "../core/errors.ts";
import {
  type ActionContext,
  type Actor,
  type Conditions,
  type IdempotencyKey,
  isSentAgain,
} from "../core/kit.ts";
import type { Queryable } from "./database.ts";
import { violatedConstraint } from "./database-errors.ts";

/** A response to remember; without a key it is forgotten. */
export interface RememberedResponse {
  userId: string;
  key: IdempotencyKey | null;
  response: unknown;
}

/** The response to a request, to be remembered under its key. */
export const remembered = (
  { actor, conditions }: { actor: Pick<Actor, "id">; conditions: Conditions },
  response: unknown,
): RememberedResponse => ({ userId: actor.id, key: conditions.key, response });

/** How long a response is kept; with a generated key, as long as the gateway may retry the request. */
const [KEPT_GENERATED, KEPT_NAMED] = ["interval '5 minutes'", "interval '24 hours'"];
const KEPT = `CASE WHEN k.generated THEN ${KEPT_GENERATED} ELSE ${KEPT_NAMED} END`;

/** The part of a WITH clause that remembers the response if `row` wrote anything; `responseParameter` fills parameter `n`. */
export const rememberResponse = (n: number): string => `
key AS (
  INSERT INTO idempotency.keys (user_id, key, fingerprint, response, kept_until)
  SELECT k.user_id, k.key, k.fingerprint, k.response, now() + ${KEPT}
  FROM json_to_record($${n}::json) AS k (user_id uuid, key text, fingerprint text, generated boolean, response json)
  WHERE k.key IS NOT NULL AND EXISTS (SELECT FROM row)
)`;

export const responseParameter = (answer: RememberedResponse | undefined): string | null =>
  answer === undefined || answer.key === null
    ? null
    : JSON.stringify({ user_id: answer.userId, ...answer.key, response: answer.response ?? {} });

/** Remembers the answer by a statement of its own: of a request that changes nothing, or one of a transaction's several. */
export async function rememberApart(db: Queryable, answer: RememberedResponse): Promise<void> {
  const parameter = responseParameter(answer);
  if (parameter === null) return;
  await db.query({
    name: "idempotency-remember",
    text: `WITH row AS (SELECT 1), ${rememberResponse(1)} SELECT`,
    values: [parameter],
  });
}

/** What is remembered of a request that was sent again by the gateway, and refused then. */
interface Refusal {
  refused: { request_id: string; code: ProblemCode; detail: string };
}

const isRefusal = (response: unknown): response is Refusal =>
  typeof response === "object" && response !== null && "refused" in response;

/** Whether an earlier success of the same request may have caused this failure. */
function mayHaveHappened(error: unknown): boolean {
  const code = problemCode(error);
  return violatedConstraint(error) === "keys_pkey" || (code !== null && PROBLEMS[code].status < 500);
}

/**
 * Remembers that a request was refused. Its first attempt may lie in a node that is frozen: it finds its key taken, and
 * does not write what the client was told is refused.
 * @returns false when the first attempt has happened meanwhile
 */
async function rememberRefusal(db: Queryable, ctx: ActionContext<object, Actor>, error: unknown) {
  const { key, fingerprint } = ctx.locals.conditions.key as IdempotencyKey;
  const { message } = error as Error;
  const refusal = { refused: { request_id: ctx.requestID, code: problemCode(error), detail: message } };
  const rows = await db.query({
    name: "idempotency-refuse",
    text: `WITH refused AS (
             INSERT INTO idempotency.keys AS k (user_id, key, fingerprint, response, kept_until)
             VALUES ($1, $2, $3, $4::json, now() + ${KEPT_GENERATED})
             ON CONFLICT (user_id, key) DO UPDATE
             SET fingerprint = EXCLUDED.fingerprint, response = EXCLUDED.response, kept_until = EXCLUDED.kept_until
             WHERE k.response->'refused' IS NOT NULL OR k.kept_until <= now()
             RETURNING 1)
           SELECT 1 FROM refused`,
    values: [ctx.locals.actor.id, key, fingerprint, JSON.stringify(refusal)],
  });
  return rows.length > 0;
}

/**
 * Runs a write that inserts its key (`rememberResponse`). When the write fails and its key is known, the client sent the
 * request again: it gets the first response, even if the request would be refused by now. A refusal is remembered only of a
 * request that the gateway sent again, and for that request alone: a client may send the next one under the same key.
 * @throws Problem idempotency-key-reused when the key stands for another request; what `write` throws
 */
export async function withIdempotencyKey<Result>(
  db: Queryable,
  ctx: ActionContext<object, Actor>,
  write: () => Promise<Result>,
): Promise<Result> {
  const { key } = ctx.locals.conditions;
  try {
    return await write();
  } catch (error) {
    if (key === null || !mayHaveHappened(error)) throw error;
    const isTaken = violatedConstraint(error) === "keys_pkey";
    const userId = ctx.locals.actor.id;
    const [first] = await db.query<{ fingerprint: string; response: Result | Refusal; expired: boolean }>({
      name: "idempotency-find",
      text: `SELECT fingerprint, response, kept_until <= now() AS expired
             FROM idempotency.keys WHERE user_id = $1 AND key = $2`,
      values: [userId, key.key],
    });
    if (first !== undefined && !first.expired) {
      const { response } = first;
      if (!isRefusal(response)) {
        if (first.fingerprint !== key.fingerprint) throw new Problem("idempotency-key-reused");
        ctx.meta.replayed = true;
        return response;
      }
      const { request_id, code, detail } = response.refused;
      if (request_id === ctx.requestID) throw new Problem(code, detail);
    }
    if (isTaken) {
      // Other requests with this key may have removed it already: one of them is first again.
      if (first === undefined || first.expired) await forgetResponses(db, userId);
      else await forgetRefusal(db, userId, key.key);
      return withIdempotencyKey(db, ctx, write);
    }
    if (isSentAgain(ctx) && !(await rememberRefusal(db, ctx, error)))
      return withIdempotencyKey(db, ctx, write);
    throw error;
  }
}

/** `value` with `texts` in each object whose id is `id`, however deep. */
function redacted(value: unknown, id: string, texts: object): unknown {
  if (Array.isArray(value)) return value.map((item) => redacted(item, id, texts));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, part]) => [key, redacted(part, id, texts)]);
  const copy = Object.fromEntries(entries) as { id?: unknown };
  return copy.id === id ? { ...copy, ...texts } : copy;
}

/** Responses that one statement searches. */
const RESPONSES_AT_ONCE = 20_000;

/** The remembered responses that mention something, except those remembered after `since`. */
export interface ResponsesAbout {
  since: string;
  keys: { user_id: string; key: string }[];
}

/**
 * Searches all responses, perhaps the millions of a day, for those that mention a task or a comment. An index would cost
 * every write, so the search takes turns with other slow statements, a piece at a time. Plan: keys_kept_until_idx.
 * @param by the id of the user whose request it is
 */
export async function responsesAbout(db: Queryable, id: string, by: string): Promise<ResponsesAbout> {
  const telling: ResponsesAbout = { since: "", keys: [] };
  for (let after = "-infinity"; ;) {
    const [piece] = await db.query<{
      now: string;
      n: number;
      last: string;
      keys: ResponsesAbout["keys"] | null;
    }>({
      name: "idempotency-telling",
      slow: "bounded",
      by,
      text: `SELECT now()::text AS now, count(*)::int AS n, max(kept_until)::text AS last,
                    json_agg(json_build_object('user_id', user_id, 'key', key))
                      FILTER (WHERE strpos(response::text, $1) > 0) AS keys
             FROM (SELECT * FROM idempotency.keys WHERE kept_until > $2 ORDER BY kept_until LIMIT $3) piece`,
      values: [id, after, RESPONSES_AT_ONCE],
    });
    if (piece === undefined) return telling;
    telling.since ||= piece.now;
    telling.keys.push(...(piece.keys ?? []));
    if (piece.n < RESPONSES_AT_ONCE) return telling;
    after = piece.last;
  }
}

/**
 * Replaces the texts of a task or a comment in remembered responses: those that were found, and those remembered since
 * then (and a minute before, since a commit is later than the time that it bears). The caller's lock keeps others from
 * writing the thing meanwhile. Plan: keys_pkey and keys_kept_until_idx.
 */
export async function redactResponses(
  tx: Queryable,
  id: string,
  texts: object,
  { since, keys }: ResponsesAbout,
): Promise<void> {
  const held = await tx.query<{ user_id: string; key: string; response: unknown }>({
    // Not prepared by name: Postgres then plans with these times, which select the last minutes of each kind of key.
    text: `WITH telling AS (
             SELECT user_id, key FROM unnest($2::uuid[], $3::text[]) AS found (user_id, key)
             UNION
             SELECT user_id, key FROM idempotency.keys
             WHERE kept_until >= $4::timestamptz - interval '1 minute' + ${KEPT_NAMED} AND strpos(response::text, $1) > 0
             UNION
             SELECT user_id, key FROM idempotency.keys
             WHERE kept_until BETWEEN $4::timestamptz - interval '1 minute' + ${KEPT_GENERATED}
                                  AND statement_timestamp() + ${KEPT_GENERATED} AND strpos(response::text, $1) > 0)
           SELECT k.user_id, k.key, k.response FROM telling JOIN idempotency.keys k USING (user_id, key)
           ORDER BY k.user_id, k.key FOR UPDATE OF k`,
    values: [id, keys.map(({ user_id }) => user_id), keys.map(({ key }) => key), since],
  });
  if (held.length === 0) return;
  const responses = held.map(({ user_id, key, response }) => ({
    user_id,
    key,
    response: redacted(response, id, texts),
  }));
  await tx.query({
    name: "idempotency-redact",
    text: `UPDATE idempotency.keys k SET response = a.response
           FROM json_to_recordset($1::json) AS a (user_id uuid, key text, response json)
           WHERE k.user_id = a.user_id AND k.key = a.key`,
    values: [JSON.stringify(responses)],
  });
}

/** Removes expired responses, of one user if `userId` is given. @returns how many */
export async function forgetResponses(db: Queryable, userId: string | null = null): Promise<number> {
  const rows = await db.query({
    name: "idempotency-forget",
    text: `WITH gone AS (
             DELETE FROM idempotency.keys WHERE (user_id, key) IN (
               SELECT user_id, key FROM idempotency.keys
               WHERE kept_until <= now() AND user_id = coalesce($1, user_id) LIMIT 1000)
             RETURNING 1)
           SELECT 1 FROM gone`,
    values: [userId],
  });
  return rows.length;
}

/** Removes what is remembered of a refusal, so that the next request may have the key. */
async function forgetRefusal(db: Queryable, userId: string, key: string): Promise<void> {
  await db.query({
    name: "idempotency-forget-refusal",
    text: `WITH gone AS (
             DELETE FROM idempotency.keys WHERE user_id = $1 AND key = $2 AND response->'refused' IS NOT NULL
             RETURNING 1)
           SELECT 1 FROM gone`,
    values: [userId, key],
  });
}
