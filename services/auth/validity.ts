/**
 * SQL: whether a session, a personal token or a one-time token is valid. No other file decides that.
 *
 * A commit that ends everything that a user has open (a new role or password, a deactivation) raises the account's
 * generation. A row keeps the generation that it was created under, and is over as soon as its account has another one;
 * only the session that changed the password stays. Each condition is true or false and never NULL, so it can be negated.
 *
 * The row's alias is `t`, its account's is `a`.
 */
export const JOIN_ACCOUNT = "JOIN users.standings a ON a.id = t.user_id";

const OF_GENERATION = "a.is_active AND t.generation = a.generation";

export const VALID_SESSION = `t.revoked_at IS NULL AND a.is_active
  AND (t.generation = a.generation OR t.id IS NOT DISTINCT FROM a.kept_session)`;
export const VALID_PERSONAL_TOKEN = `t.revoked_at IS NULL AND ${OF_GENERATION} AND coalesce(t.expires_at > now(), true)`;
export const VALID_ONE_TIME_TOKEN = `t.used_at IS NULL AND ${OF_GENERATION} AND t.expires_at > now()`;
