import { defineColumns } from "../../mixins/columns.ts";
import type { User, UserChanges } from "./users.contract.ts";

/** What the contract shows of an account. The model (users.model.ts) has the columns that no client sees. */
export const userColumns = defineColumns<User, Required<UserChanges>>({
  id: { type: "uuid", once: true },
  email: { type: "text", required: true },
  username: { type: "text", required: true },
  first_name: { type: "text", required: true },
  last_name: { type: "text", required: true },
  role: { type: "text", required: true },
  is_active: { type: "boolean", required: true },
  is_verified: { type: "boolean" },
  created_at: { type: "timestamptz", once: true },
  updated_at: { type: "timestamptz" },
});

/** For SELECT and RETURNING. */
export const USER_COLUMNS = userColumns.names;

/** What a change may set. */
export const SETTABLE = userColumns.told;
