import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { invalidField, Problem } from "../../core/errors.ts";
import { service } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import { createTokens } from "../../core/tokens.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import { users, type User } from "../users/users.contract.ts";
import type { AuthContract, Login } from "./auth.contract.ts";
import { openSession, revokeSession, revokeUser, rotate, type Session } from "./sessions.ts";

/** Sessions and tokens. Accounts and passwords are the users service's. */
export default (config: Config): ServiceSchema => {
  const tokens = createTokens(config);

  function loginAnswer(session: Session, user: User): Login {
    const { token, expiresIn } = tokens.sign({ id: user.id, role: user.role, session: session.id });
    return {
      access_token: token,
      token_type: "Bearer",
      expires_in: expiresIn,
      refresh_token: session.refreshToken,
      user,
    };
  }

  return service<AuthContract, WithDatabase>({
    name: "auth",
    mixins: [database(config)],
    actions: {
      /** Creates an account. The rules for its fields are users.create's own. @throws Problem already-exists */
      register: {
        auth: "public",
        rules: {
          email: "string",
          username: "string",
          password: "string",
          first_name: { type: "string", optional: true, nullable: true },
          last_name: { type: "string", optional: true, nullable: true },
        },
        handler: (ctx) => users.call(ctx, "create", ctx.params),
      },

      /** Opens a session by e-mail address or user name. @throws Problem invalid-credentials */
      login: {
        auth: "public",
        rules: {
          login: { type: "string", optional: true, min: 1, max: 254 },
          email: { type: "string", optional: true, min: 1, max: 254 },
          password: { type: "string", min: 1, max: 1000 },
        },
        async handler(ctx) {
          const { login, email, password } = ctx.params;
          if (login !== undefined && email !== undefined)
            throw invalidField("email", "exclusive", "Send either login or email, not both");
          const name = login ?? email;
          if (name === undefined) throw invalidField("login", "required", "The 'login' field is required.");
          const user = await users.call(ctx, "verify_password", { login: name, password });
          if (user === null) throw new Problem("invalid-credentials");
          return loginAnswer(await openSession(this.db, user.id, config.REFRESH_TOKEN_TTL), user);
        },
      },

      /** Rotates a refresh token (RFC 9700 §4.14). @throws Problem invalid-token */
      refresh: {
        auth: "public",
        rules: { refresh_token: { type: "string", min: 1, max: 512 } },
        async handler(ctx) {
          const session = await rotate(this.db, ctx.params.refresh_token, config.REFRESH_TOKEN_TTL);
          if (session === null) throw new Problem("invalid-token");
          const user = await users.call(ctx, "account", { id: session.userId });
          if (!user.is_active) throw new Problem("invalid-token");
          return loginAnswer(session, user);
        },
      },

      /** Ends the caller's session. */
      logout: {
        auth: "user",
        rules: {},
        handler(ctx) {
          return revokeSession(this.db, ctx.locals.actor.session);
        },
      },

      /** Ends what a user has open: after a new password, a new role, a deactivation. */
      revoke_user: {
        auth: "internal",
        rules: { user_id: rules.id, except_session: rules.optionalId },
        handler(ctx) {
          return revokeUser(this.db, ctx.params.user_id, ctx.params.except_session ?? null);
        },
      },

      /** The caller's own account. */
      me: {
        auth: "user",
        safe: true,
        rules: {},
        handler: (ctx) => users.call(ctx, "account", { id: ctx.locals.actor.id }),
      },
    },
  });
};
