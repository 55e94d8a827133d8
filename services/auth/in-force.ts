/**
 * SQL: whether a session, a personal token or a mailed link is in force. The one place that says so.
 *
 * What ends all that a user has open (a new role or password, the end of the account) counts the account's generation on,
 * in that very commit. A row carries the generation that it was opened under, and is over once its account has another
 * one. The session that changed the password is kept. Each says true or false and never NULL, so that it may be negated.
 *
 * The row's alias is `t`, its account's is `a`.
 */
export const ACCOUNT = "JOIN users.standings a ON a.id = t.user_id";

const OF_GENERATION = "a.is_active AND t.generation = a.generation";

export const SESSION_IN_FORCE = `t.revoked_at IS NULL AND a.is_active
  AND (t.generation = a.generation OR t.id IS NOT DISTINCT FROM a.kept_session)`;
export const TOKEN_IN_FORCE = `t.revoked_at IS NULL AND ${OF_GENERATION} AND coalesce(t.expires_at > now(), true)`;
export const LINK_IN_FORCE = `t.used_at IS NULL AND ${OF_GENERATION} AND t.expires_at > now()`;
