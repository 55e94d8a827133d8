import type { Queryable } from "../../mixins/database.ts";
import { hashOf } from "./secrets.ts";
import { JOIN_ACCOUNT, VALID_ONE_TIME_TOKEN } from "./validity.ts";

export type Purpose = "verify_email" | "reset_password";

export interface OneTimeToken {
  user_id: string;
  email: string;
  generation: number;
}

/** @returns null for a token that is unknown, used, expired or of an older generation than its account */
export async function findOneTimeToken(
  db: Queryable,
  purpose: Purpose,
  token: string,
): Promise<OneTimeToken | null> {
  const [row] = await db.query<OneTimeToken>({
    name: "auth-one-time-find",
    text: `SELECT t.user_id, t.email, t.generation FROM auth.one_time_tokens t ${JOIN_ACCOUNT}
           WHERE t.hash = $1 AND t.purpose = $2 AND ${VALID_ONE_TIME_TOKEN}`,
    values: [hashOf(token), purpose],
  });
  return row ?? null;
}
