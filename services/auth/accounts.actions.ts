/** A user's own account: registration, the e-mail address and the password. */
import { invalidField, Problem, problemCode } from "../../core/errors.ts";
import { actionsOf } from "../../core/kit.ts";
import { user } from "../users/users.answers.ts";
import { HASHING_TIMEOUT_MS, users } from "../users/users.contract.ts";
import type { AuthContract } from "./auth.contract.ts";
import type { AuthLend } from "./auth.methods.ts";
import * as params from "./auth.params.ts";
import { spendOneTimeToken } from "./one-time-tokens.commands.ts";
import { findOneTimeToken } from "./one-time-tokens.queries.ts";
import { isSessionValid } from "./sessions.queries.ts";

const invalidLink = (): Problem =>
  invalidField("token", "spent", "This link is not valid, was used, or has expired: ask for a new one");

/** The user has another address than the link was mailed to. */
const mustStillHaveAddress = (error: unknown): never => {
  throw problemCode(error) === "not-found" ? invalidLink() : error;
};

export const accountActions = actionsOf<AuthContract, AuthLend>()({
  register: {
    auth: "public",
    docs: {
      summary: "Create an account",
      description: "The user is mailed a link that verifies the e-mail address.",
      answer: user,
      problems: ["already-exists"],
    },
    timeout: HASHING_TIMEOUT_MS,
    rules: params.newUser,
    async handler(ctx) {
      const user = await users.call(ctx, "create", ctx.params);
      // The account stands if the mail fails: the user can ask for another one.
      await this.mailToken(ctx, "verify_email", user).catch((error: unknown) =>
        this.logger.warn(`no verification mail for user ${user.id}`, error),
      );
      return user;
    },
  },

  me: {
    auth: "user",
    projectBound: true,
    docs: { summary: "Read your own account", answer: user },
    safe: true,
    rules: {},
    handler: (ctx) => users.call(ctx, "account", { id: ctx.locals.actor.id }),
  },

  verify_email: {
    auth: "public",
    docs: {
      summary: "Verify an e-mail address",
      description: "Takes the token of the mailed link.",
      answer: null,
    },
    rules: { token: params.token },
    async handler(ctx) {
      const { token } = ctx.params;
      const found = await findOneTimeToken(this.db, "verify_email", token);
      if (found === null) throw invalidLink();
      const { user_id: id, email } = found;
      // Marking twice does no harm, so the token is spent last: a client may repeat a request that failed in between.
      await users.call(ctx, "mark_verified", { id, email }).catch(mustStillHaveAddress);
      await spendOneTimeToken(this.db, token);
    },
  },

  resend_verification: {
    auth: "session",
    docs: {
      summary: "Mail the verification link again",
      description:
        "Nothing happens for a verified address, within a minute of the last mail, or after 10 mails in a day.",
      answer: null,
    },
    rules: {},
    async handler(ctx) {
      const user = await users.call(ctx, "account", { id: ctx.locals.actor.id });
      if (!user.is_verified) await this.mailToken(ctx, "verify_email", user);
    },
  },

  forgot_password: {
    auth: "public",
    docs: {
      summary: "Ask for a password reset",
      description:
        "Mails a link to the account with this address, if there is one. Nothing is mailed within a minute of the last mail or after 10 mails in a day. The answer is always the same.",
      answer: null,
    },
    rules: params.forgottenPassword,
    handler(ctx) {
      // After the answer, whose time must not tell whether the account exists.
      this.mailResetLater(ctx.params.email);
    },
  },

  reset_password: {
    auth: "public",
    docs: {
      summary: "Reset the password",
      description: "Takes the token of the mailed link. All sessions and personal access tokens end.",
      answer: null,
    },
    timeout: HASHING_TIMEOUT_MS,
    rules: params.passwordReset,
    async handler(ctx) {
      const { token, password } = ctx.params;
      await users.call(ctx, "check_new_password", { password });
      const found = await findOneTimeToken(this.db, "reset_password", token);
      if (found === null) throw invalidLink();
      // The commit that sets the password needs the token's generation and raises it, which ends this token, all others and
      // all sessions. The second of two resets with one token finds another generation.
      const { user_id: id, email, generation } = found;
      await users.call(ctx, "set_password", { id, password, email, generation }).catch(mustStillHaveAddress);
    },
  },

  change_password: {
    auth: "session",
    docs: {
      summary: "Change your password",
      description: "Your other sessions and your personal access tokens end.",
      answer: null,
      problems: ["conflict"],
    },
    timeout: HASHING_TIMEOUT_MS,
    rules: params.passwordChange,
    async handler(ctx) {
      const { id, session } = ctx.locals.actor;
      const { current_password, password } = ctx.params;
      const generation = await users.call(ctx, "check_password", { id, password: current_password });
      if (generation === null)
        throw invalidField("current_password", "wrong", "This is not your current password");
      // Checked after the generation was read: as long as that stays, the session stays valid and may be kept.
      if (!(await isSessionValid(this.db, id, session))) throw new Problem("invalid-token");
      await users
        .call(ctx, "set_password", { id, password, generation, keep_session: session })
        .catch((error: unknown) => {
          if (problemCode(error) !== "not-found") throw error;
          throw new Problem("conflict", "The account changed meanwhile: try again");
        });
    },
  },
});
