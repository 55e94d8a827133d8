import type { Service } from "moleculer";
import pLimit from "p-limit";
import type { Config } from "../../core/config.ts";
import { missing, Problem } from "../../core/errors.ts";
import { broadcast, type Caller, type Meta, type UserContext } from "../../core/kit.ts";
import { createTokens } from "../../core/tokens.ts";
import type { WithDatabase } from "../../mixins/database.ts";
import { remembered, withIdempotencyKey } from "../../mixins/idempotency.ts";
import { mailer } from "../mailer/mailer.contract.ts";
import { type User, users } from "../users/users.contract.ts";
import { type Login, revoked } from "./auth.contract.ts";
import { resetMail, verificationMail } from "./mails.ts";
import { issueOneTimeToken, refundMail } from "./one-time-tokens.commands.ts";
import type { Purpose } from "./one-time-tokens.queries.ts";
import { setRefreshCookie } from "./refresh-cookie.ts";
import type { revokeSession, Session } from "./sessions.commands.ts";

/** Reset mails that a node prepares at once, and that wait for their turn at most. */
const CONCURRENT_RESETS = 2;
const MAX_WAITING_RESETS = 100;

const MAILS = { verify_email: verificationMail, reset_password: resetMail } as const;

/** What the actions' `this` has. */
export interface AuthLend extends WithDatabase {
  /** Seconds that a refresh token lives unused. */
  refreshTtlS: number;
  /** The answer to a login or a refresh; in cookie mode the refresh token goes into the cookie alone. */
  loginAnswer(meta: Meta, session: Session, user: User, cookie: boolean): Login;
  /** Tells every gateway and notifier which sessions and personal tokens ended. Never throws. */
  announceEnded(ids: string[]): void;
  /** Ends the caller's session or personal token with the id in the params, and announces it. @throws Problem not-found */
  endOwn(
    ctx: UserContext<{ id: string }>,
    what: "session" | "token",
    revoke: typeof revokeSession,
  ): Promise<void>;
  /** Mails a link with a one-time token, unless the user's mails are used up. */
  mailToken(from: Caller, purpose: Purpose, user: User): Promise<void>;
  /** Mails a reset link to the account with this address, if there is one, after the caller went on. @throws Problem overloaded */
  mailResetLater(email: string): void;
}

type Auth = Service & AuthLend;

export const authMethods = (config: Config) => {
  const tokens = createTokens(config);
  const resets = pLimit(CONCURRENT_RESETS);

  return {
    loginAnswer(meta: Meta, session: Session, user: User, cookie: boolean): Login {
      const { token, expiresIn } = tokens.sign({ id: user.id, role: user.role, session: session.id });
      const login: Login = { access_token: token, token_type: "Bearer", expires_in: expiresIn, user };
      if (!cookie) return { ...login, refresh_token: session.refreshToken };
      meta.$responseHeaders = setRefreshCookie(session.refreshToken, config.REFRESH_TOKEN_TTL);
      return login;
    },

    announceEnded(this: Auth, ids: string[]) {
      if (ids.length > 0) broadcast(this.broker, revoked, { sessions: ids });
    },

    async endOwn(
      this: Auth,
      ctx: UserContext<{ id: string }>,
      what: "session" | "token",
      revoke: typeof revokeSession,
    ) {
      const { id } = ctx.params;
      const { actor } = ctx.locals;
      await withIdempotencyKey(this.db, ctx, async () => {
        if (!(await revoke(this.db, actor.id, id, remembered(ctx.locals, null)))) throw missing(what, id);
      });
      this.announceEnded([id]);
    },

    async mailToken(this: Auth, from: Caller, purpose: Purpose, user: User) {
      const token = await issueOneTimeToken(this.db, purpose, user);
      if (token === null) return;
      try {
        await mailer.call(from, "send", MAILS[purpose](config, user.email, token));
      } catch (error) {
        await refundMail(this.db, purpose, user.id).catch(() => {});
        throw error;
      }
    },

    mailResetLater(this: Auth, email: string) {
      if (resets.pendingCount >= MAX_WAITING_RESETS) throw new Problem("overloaded");
      const { broker, logger } = this;
      resets(async () => {
        const user = await users.call(broker, "by_email", { email });
        if (user !== null) await this.mailToken(broker, "reset_password", user);
      }).catch((error: unknown) => logger.warn("a reset mail could not be prepared", error));
    },
  };
};
