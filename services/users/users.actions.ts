/** What clients do with accounts. */
import { atMost } from "../../core/at-most.ts";
import { Problem } from "../../core/errors.ts";
import { actionsOf } from "../../core/kit.ts";
import type { PageOf } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { auth } from "../auth/auth.contract.ts";
import { projects } from "../projects/projects.contract.ts";
import { people, user, userOrPerson } from "./users.answers.ts";
import { changeUser, checkErasure, eraseUser } from "./users.commands.ts";
import type { UsersContract } from "./users.contract.ts";
import type { UsersLend } from "./users.methods.ts";
import * as params from "./users.params.ts";
import { may } from "./users.policy.ts";
import { findUser, searchUsers } from "./users.queries.ts";
import { personView } from "./users.view.ts";

/** Milliseconds that a client waits for the cleanup of the account that it erased. */
const CLEANUP_WAIT_MS = 1000;

export const userActions = actionsOf<UsersContract, UsersLend>()<"list" | "get" | "patch" | "delete">({
  list: {
    auth: "user",
    safe: true,
    docs: {
      summary: "Find people",
      description:
        "By a part of their user name or full name; admins also by e-mail address. People whose user name begins with it come first.",
      answer: people,
    },
    rules: params.search,
    handler(ctx) {
      const { q = "", ...page } = ctx.params as typeof ctx.params & PageOf;
      return searchUsers(this.db, ctx.locals.actor, q, page);
    },
  },

  get: {
    auth: "user",
    safe: true,
    docs: {
      summary: "Read a user",
      description: "The owner of the account and admins get the whole account, others get the person.",
      answer: userOrPerson,
    },
    rules: { id: rules.id },
    async handler(ctx) {
      const { actor } = ctx.locals;
      const user = await findUser(this.db, actor, ctx.params.id);
      return may(actor, "read_account", user) ? user : personView(user);
    },
  },

  patch: {
    auth: "session",
    idempotent: true,
    docs: {
      summary: "Change an account",
      description:
        "Users change their own account, admins any account; only admins set `role` and `is_active`. A new e-mail address is not verified: the user is mailed a link, at most 10 in a day, and the request also costs the stricter budget of the auth routes. A new role ends the user's sessions.",
      answer: user,
      problems: ["forbidden", "already-exists", "conflict"],
    },
    rules: { id: rules.id, ...params.userChanges },
    async handler(ctx) {
      const { id, ...given } = ctx.params;
      const { actor, conditions } = ctx.locals;
      const changes = rules.omitUndefined(given);
      const { user, sessionsEnd, newAddress } = await withIdempotencyKey(this.db, ctx, () =>
        changeUser(this.db, actor, id, changes, conditions),
      );
      if (sessionsEnd) void this.cleaner.afterCommit(this.broker, id);
      // The change stands if the mail fails: the user can ask for another one.
      else if (newAddress && id === actor.id)
        await auth
          .call(ctx, "resend_verification", {})
          .catch((error: unknown) => this.logger.warn(`no verification mail for user ${id}`, error));
      return user ?? findUser(this.db, actor, id);
    },
  },

  delete: {
    auth: "session",
    idempotent: true,
    docs: {
      summary: "Erase an account",
      description:
        "The account is deactivated and its personal data erased. Its tasks stay, assigned to nobody. What needs a service that is away follows within seconds of its return. 409 for the only owner of a project with other members: make another member owner first.",
      answer: null,
      problems: ["forbidden", "conflict"],
    },
    rules: { id: rules.id },
    async handler(ctx) {
      const { id } = ctx.params;
      const { actor, conditions } = ctx.locals;
      await withIdempotencyKey(this.db, ctx, async () => {
        await checkErasure(this.db, actor, id, conditions);
        const soleOwned = await projects.call(ctx, "sole_owner_of", { user_id: id });
        if (soleOwned !== null)
          throw new Problem("conflict", `Make another member owner of the project '${soleOwned}' first`);
        await eraseUser(this.db, actor, id, conditions);
      });
      // The account is erased now; nodes repeat the cleanup until it succeeds.
      await atMost(CLEANUP_WAIT_MS, this.cleaner.afterCommit(ctx, id));
    },
  },
});
