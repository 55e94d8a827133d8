import type { WithDatabase } from "../../mixins/database.ts";
import type { WithModel } from "../../mixins/model.ts";
import type { AccountCleaner } from "./account-cleaner.ts";
import type { UserRow } from "./users.model.ts";

/** What the actions' `this` has. */
export interface UsersLend extends WithModel<UserRow>, WithDatabase {
  /** bcrypt's. */
  bcryptCost: number;
  cleaner: AccountCleaner;
}
