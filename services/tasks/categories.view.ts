import type { CategoryRow } from "./categories.columns.ts";
import type { Category } from "./tasks.contract.ts";

export const categoryView = (row: CategoryRow): Category => ({
  id: row.id,
  name: row.name,
  color: row.color,
  version: row.version,
  created_at: row.created_at,
  updated_at: row.updated_at,
});
