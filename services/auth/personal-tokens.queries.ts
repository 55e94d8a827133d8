import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import type { PersonalToken } from "./auth.contract.ts";
import { personalTokenView, type ValidToken } from "./auth.view.ts";
import { hashOf } from "./secrets.ts";
import { JOIN_ACCOUNT, VALID_PERSONAL_TOKEN } from "./validity.ts";

export const TOKEN_SORTS = ["created_at", "name"];

/** A user's valid tokens, by default the newest first. Plan: personal_tokens_user_idx. */
export async function listPersonalTokens(
  db: Queryable,
  userId: string,
  page: PageOf,
): Promise<Page<PersonalToken>> {
  const parameters = new Parameters();
  const listing: Listing = {
    columns: "t.id, t.name, t.scope, t.project_ids, t.created_at, t.expires_at",
    branches: [
      {
        from: `auth.personal_tokens t ${JOIN_ACCOUNT}`,
        where: [`t.user_id = ${parameters.add(userId)}`, VALID_PERSONAL_TOKEN],
      },
    ],
    sorts: {
      created_at: { sql: "t.created_at", type: "timestamptz" },
      name: { sql: "lower(t.name)", type: "text" },
    },
    sort: "-created_at",
    indexed: [],
    small: true,
    caller: userId,
  };
  return (await readPage(db, listStatement(listing, page, parameters), page, personalTokenView)).page;
}

/** @returns null for a token that is unknown or not valid. Plan: personal_tokens_hash_key. */
export async function findPersonalToken(db: Queryable, token: string): Promise<ValidToken | null> {
  const [row] = await db.query<ValidToken>({
    name: "auth-token-find",
    text: `SELECT t.id, t.user_id, a.role, t.scope, t.project_ids, t.expires_at FROM auth.personal_tokens t ${JOIN_ACCOUNT}
           WHERE t.hash = $1 AND ${VALID_PERSONAL_TOKEN}`,
    values: [hashOf(token)],
  });
  return row ?? null;
}
