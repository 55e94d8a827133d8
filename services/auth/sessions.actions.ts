import { invalidField, Problem } from "../../core/errors.ts";
import { actionsOf } from "../../core/kit.ts";
import { type PageOf, pageRules } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { HASHING_TIMEOUT_MS, users } from "../users/users.contract.ts";
import * as answers from "./auth.answers.ts";
import type { AuthContract } from "./auth.contract.ts";
import type { AuthLend } from "./auth.methods.ts";
import * as params from "./auth.params.ts";
import { clearRefreshCookie } from "./refresh-cookie.ts";
import { openSession, revokeSession, revokeSessions, rotateRefreshToken } from "./sessions.commands.ts";
import { listSessions, SESSION_SORTS } from "./sessions.queries.ts";

/** @throws Problem validation-failed unless exactly one of the two is given */
function loginNameOf({ login, email }: { login?: string; email?: string }): string {
  if (login !== undefined && email !== undefined)
    throw invalidField("email", "exclusive", "Send either login or email, not both");
  const name = login ?? email;
  if (name === undefined) throw invalidField("login", "required", "The 'login' field is required");
  return name;
}

export const sessionActions = actionsOf<AuthContract, AuthLend>()({
  login: {
    auth: "public",
    docs: {
      summary: "Log in",
      description:
        "Send `login`, an e-mail address or a user name, or `email`; white space around it does not count. Failed logins are counted for the client's address together with the name and with the account. After too many failures, that name gets 429 until the window ends, and every other name of the account gets the answer of a wrong password.",
      answer: answers.login,
      problems: ["invalid-credentials"],
    },
    timeout: HASHING_TIMEOUT_MS,
    rules: params.login,
    async handler(ctx) {
      const { password, cookie = false } = ctx.params;
      const login = loginNameOf(ctx.params);
      const verified = await users.call(ctx, "verify_password", { login, password });
      if (verified === null) throw new Problem("invalid-credentials");
      const { user, generation } = verified;
      const account = { id: user.id, generation };
      const session = await openSession(this.db, account, this.refreshTtlS, ctx.meta.client);
      if (session === null) throw new Problem("invalid-credentials");
      return this.loginAnswer(ctx.meta, session, user, cookie);
    },
  },

  refresh: {
    auth: "public",
    docs: {
      summary: "Get new tokens",
      description:
        "A refresh token works once. It comes in the body or, in cookie mode, in its cookie. A used token that comes again ends its session, because it was stolen. (A client that lost the response may repeat the request until it uses the new token, and for 10 seconds longer.) The cookie is accepted from pages of the API's own origin and of the origins in `CORS_ORIGINS`; from others the answer is 403.",
      answer: answers.login,
      problems: ["invalid-token", "forbidden"],
    },
    // A spent token gets the same successor as long as nobody has used that.
    idempotent: true,
    rules: params.refresh,
    async handler(ctx) {
      const { refresh_token, cookie = false } = ctx.params;
      const rotation = await rotateRefreshToken(this.db, refresh_token, this.refreshTtlS);
      if ("refused" in rotation) {
        if (rotation.revoked !== null) this.announceEnded([rotation.revoked]);
        throw new Problem("invalid-token");
      }
      return this.loginAnswer(ctx.meta, rotation.session, rotation.user, cookie);
    },
  },

  logout: {
    auth: "session",
    docs: {
      summary: "Log out",
      description: "Ends the session of this access token on every node at once.",
      answer: null,
    },
    idempotent: true,
    rules: {},
    async handler(ctx) {
      const { id, session } = ctx.locals.actor;
      await revokeSession(this.db, id, session);
      this.announceEnded([session]);
      ctx.meta.$responseHeaders = clearRefreshCookie();
    },
  },

  logout_all: {
    auth: "session",
    docs: {
      summary: "Log out everywhere",
      description: "Ends all sessions of the user. Personal access tokens stay valid.",
      answer: null,
    },
    idempotent: true,
    rules: {},
    async handler(ctx) {
      this.announceEnded(await revokeSessions(this.db, ctx.locals.actor.id));
      ctx.meta.$responseHeaders = clearRefreshCookie();
    },
  },

  list_sessions: {
    auth: "session",
    docs: { summary: "List your sessions", answer: answers.sessions },
    safe: true,
    rules: pageRules(...SESSION_SORTS),
    handler(ctx) {
      const { id, session } = ctx.locals.actor;
      return listSessions(this.db, { userId: id, current: session }, ctx.params as PageOf);
    },
  },

  end_session: {
    auth: "session",
    idempotent: true,
    docs: { summary: "End one of your sessions", answer: null },
    rules: { id: rules.id },
    handler(ctx) {
      return this.endOwn(ctx, "session", revokeSession);
    },
  },
});
