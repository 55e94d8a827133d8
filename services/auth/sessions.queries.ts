import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import type { SessionItem } from "./auth.contract.ts";
import { sessionView } from "./auth.view.ts";
import { JOIN_ACCOUNT, VALID_SESSION } from "./validity.ts";

/** Plan: sessions_pkey. */
export async function isSessionValid(db: Queryable, userId: string, id: string): Promise<boolean> {
  const rows = await db.query({
    name: "auth-session-in-force",
    text: `SELECT FROM auth.sessions t ${JOIN_ACCOUNT} WHERE t.id = $1 AND t.user_id = $2 AND ${VALID_SESSION}`,
    values: [id, userId],
  });
  return rows.length > 0;
}

export const SESSION_SORTS = ["last_used_at", "created_at"];

/** A user's open sessions, by default the last used first. Plan: sessions_user_idx. */
export async function listSessions(
  db: Queryable,
  { userId, current }: { userId: string; current: string },
  page: PageOf,
): Promise<Page<SessionItem>> {
  const parameters = new Parameters();
  const renewable = `EXISTS (
    SELECT FROM auth.refresh_tokens r WHERE r.session_id = t.id AND r.spent_at IS NULL AND r.expires_at > now())`;
  const listing: Listing = {
    columns: "t.id, t.created_at, t.last_used_at, t.user_agent, t.address",
    branches: [
      {
        from: `auth.sessions t ${JOIN_ACCOUNT}`,
        where: [`t.user_id = ${parameters.add(userId)}`, VALID_SESSION, renewable],
      },
    ],
    sorts: {
      last_used_at: { sql: "t.last_used_at", type: "timestamptz" },
      created_at: { sql: "t.created_at", type: "timestamptz" },
    },
    sort: "-last_used_at",
    indexed: [],
    small: true,
    caller: userId,
  };
  const view = (row: Omit<SessionItem, "current">) => sessionView(row, current);
  return (await readPage(db, listStatement(listing, page, parameters), page, view)).page;
}
