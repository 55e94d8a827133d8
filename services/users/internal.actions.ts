/** What other services call, and no client reaches. users.contract.ts says what each action answers. */
import { missing } from "../../core/errors.ts";
import { actionsOf } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import { checkPassword, mustHaveRoom } from "./password.ts";
import { createUser, markVerified, setPassword } from "./users.commands.ts";
import { HASHING_TIMEOUT_MS, type UsersContract } from "./users.contract.ts";
import type { UsersLend } from "./users.methods.ts";
import * as params from "./users.params.ts";
import { accountIdOf, findAccount, findByEmail, findByLogin, findPeople } from "./users.queries.ts";
import { userView } from "./users.view.ts";

/** The greatest value of Postgres' `integer`. */
const MAX_GENERATION = 2 ** 31 - 1;

export const internalActions = actionsOf<UsersContract, UsersLend>()({
  /** @throws Problem already-exists, overloaded */
  create: {
    auth: "internal",
    timeout: HASHING_TIMEOUT_MS,
    rules: params.newUser,
    handler(ctx) {
      return createUser(this.db, ctx.params, this.bcryptCost);
    },
  },

  /** @throws Problem not-found */
  account: {
    auth: "internal",
    safe: true,
    rules: { id: rules.id },
    async handler(ctx) {
      const account = await findAccount(this.model, ctx.params.id);
      if (account === null) throw missing("user", ctx.params.id);
      return userView(account);
    },
  },

  people: {
    auth: "internal",
    safe: true,
    rules: { ids: { type: "array", items: "uuid", max: 1000 } },
    handler(ctx) {
      return findPeople(this.db, ctx.params.ids);
    },
  },

  account_of: {
    auth: "internal",
    safe: true,
    rules: { login: params.accountName },
    handler(ctx) {
      return accountIdOf(this.db, ctx.params.login);
    },
  },

  by_email: {
    auth: "internal",
    safe: true,
    rules: { email: params.accountName },
    handler(ctx) {
      return findByEmail(this.db, ctx.params.email);
    },
  },

  /** @throws Problem not-found when the account has another address now */
  mark_verified: {
    auth: "internal",
    idempotent: true,
    rules: { id: rules.id, email: params.accountName },
    handler(ctx) {
      return markVerified(this.db, ctx.params.id, ctx.params.email);
    },
  },

  /** @throws Problem overloaded */
  verify_password: {
    auth: "internal",
    safe: true,
    timeout: HASHING_TIMEOUT_MS,
    rules: { login: params.accountName, password: "string" },
    async handler(ctx) {
      const { login, password } = ctx.params;
      mustHaveRoom();
      const account = await checkPassword(await findByLogin(this.model, login), password, this.bcryptCost);
      return account && { user: userView(account), generation: account.sessions_generation };
    },
  },

  /** @throws Problem overloaded */
  check_password: {
    auth: "internal",
    safe: true,
    timeout: HASHING_TIMEOUT_MS,
    rules: { id: rules.id, password: "string" },
    async handler(ctx) {
      const { id, password } = ctx.params;
      const account = await checkPassword(await findAccount(this.model, id), password, this.bcryptCost);
      return account?.sessions_generation ?? null;
    },
  },

  /** @throws ValidationError */
  check_new_password: {
    auth: "internal",
    safe: true,
    rules: { password: params.newPassword },
    handler() {},
  },

  /** @throws Problem not-found, overloaded */
  set_password: {
    auth: "internal",
    timeout: HASHING_TIMEOUT_MS,
    rules: {
      id: rules.id,
      password: params.newPassword,
      generation: rules.integer(1, MAX_GENERATION),
      email: { ...params.accountName, optional: true },
      keep_session: rules.optionalId,
    },
    async handler(ctx) {
      await setPassword(this.db, ctx.params, this.bcryptCost);
      void this.cleaner.afterCommit(this.broker, ctx.params.id);
    },
  },
});
