import { defineColumns } from "../../mixins/columns.ts";
import type { Category } from "./tasks.contract.ts";

export type CategoryInput = Pick<Category, "name" | "color">;

/** A row of tasks.categories. */
export interface CategoryRow extends Category {
  user_id: string;
  /** The name as it is compared and sorted (core/text.ts, keyOf). */
  name_key: string;
  deleted_at: string | null;
}

export const categoryColumns = defineColumns<CategoryRow, CategoryInput>({
  id: { type: "uuid", once: true },
  user_id: { type: "uuid", once: true },
  name: { type: "text", required: true },
  name_key: { type: "text" },
  color: { type: "text", required: true },
  version: { type: "int" },
  created_at: { type: "timestamptz", once: true },
  updated_at: { type: "timestamptz" },
  deleted_at: { type: "timestamptz" },
});
