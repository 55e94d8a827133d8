import { missing } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import { categoryColumns, type CategoryRow } from "./categories.columns.ts";
import type { Category } from "./tasks.contract.ts";
import { categoryView } from "./categories.view.ts";

/** The ids of `ids` that are categories of the caller. Plan: primary key. */
export async function ownCategories(db: Queryable, actor: Actor, ids: string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>({
    name: "categories-own",
    text: "SELECT id FROM tasks.categories WHERE id = ANY ($1::uuid[]) AND user_id = $2 AND deleted_at IS NULL",
    values: [ids, actor.id],
  });
  return rows.map(({ id }) => id);
}

export const CATEGORY_SORTS = ["name", "created_at"];

/** A user's categories, by name. Plan: categories_name_key. */
export async function listCategories(db: Queryable, userId: string, page: PageOf): Promise<Page<Category>> {
  const parameters = new Parameters();
  const listing: Listing = {
    columns: categoryColumns.selected,
    branches: [
      {
        from: "tasks.categories t",
        where: [`t.user_id = ${parameters.add(userId)}`, "t.deleted_at IS NULL"],
      },
    ],
    sorts: {
      name: { sql: "t.name_key", type: "text" },
      created_at: { sql: "t.created_at", type: "timestamptz" },
    },
    sort: "name",
    indexed: ["name"],
    small: true,
    caller: userId,
  };
  return (
    await readPage<CategoryRow, Category>(db, listStatement(listing, page, parameters), page, categoryView)
  ).page;
}

/** One of a user's categories. Plan: primary key. @throws Problem not-found */
export async function findCategory(
  db: Queryable,
  userId: string,
  id: string,
  { lock = false } = {},
): Promise<CategoryRow> {
  const [category] = await db.query<CategoryRow>({
    name: lock ? "categories-lock" : "categories-find",
    text: `SELECT ${categoryColumns.names}
           FROM tasks.categories WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
           ${lock ? "FOR NO KEY UPDATE" : ""}`,
    values: [id, userId],
  });
  if (category === undefined) throw missing("category", id);
  return category;
}

/** A deleted category that tasks may still have. Plan: categories_deleted_idx. */
export async function findDeletedCategory(db: Queryable): Promise<{ id: string; user_id: string } | null> {
  const [category] = await db.query<{ id: string; user_id: string }>({
    name: "categories-deleted",
    text: "SELECT id, user_id FROM tasks.categories WHERE deleted_at IS NOT NULL ORDER BY deleted_at LIMIT 1",
  });
  return category ?? null;
}
