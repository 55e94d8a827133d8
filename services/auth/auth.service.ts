import type { ServiceSchema } from "moleculer";
import pLimit from "p-limit";
import type { Config } from "../../core/config.ts";
import { invalidField, missing, Problem, problemCode } from "../../core/errors.ts";
import { type Actor, broadcast, type Caller, type Meta, service } from "../../core/kit.ts";
import { type PageOf, pageRules } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { createTokens } from "../../core/tokens.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import { mailer } from "../mailer/mailer.contract.ts";
import { projects } from "../projects/projects.contract.ts";
import { accountRules, HASHING_TIMEOUT_MS, type User, users } from "../users/users.contract.ts";
import { user } from "../users/users.answers.ts";
import { type AuthContract, type Login, revoked, TOKEN_SCOPES } from "./auth.contract.ts";
import * as schemas from "./auth.answers.ts";
import { resetMail, verificationMail } from "./mails.ts";
import { findLink, giveMailBack, issueToken, type Purpose, spendLink } from "./one-time-tokens.ts";
import { createToken, findToken, listTokens, revokeToken, TOKEN_SORTS } from "./personal-tokens.ts";
import { clearRefreshCookie, setRefreshCookie } from "./refresh-cookie.ts";
import {
  forgetEnded,
  holderOf,
  isInForce,
  listSessions,
  openSession,
  revokeSession,
  revokeSessions,
  rotate,
  type Session,
  SESSION_SORTS,
} from "./sessions.ts";

/** Password mails that are being prepared after their request was answered, and that may wait for it. */
const MAILS_AT_ONCE = 2;
const MAILS_WAITING = 100;

const MAILS = { verify_email: verificationMail, reset_password: resetMail } as const;

/** Projects that a personal token can be limited to. */
const MAX_TOKEN_PROJECTS = 100;

const secret = {
  type: "string",
  min: 1,
  max: 512,
  example: "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA",
} as const;
const address = { ...rules.text(1, 254), trim: true } as const;
const givenPassword = { type: "string", min: 1, max: 1000, example: "correct horse" } as const;
const cookie = {
  type: "boolean",
  optional: true,
  description: "Keep the refresh token in a cookie.",
} as const;

interface Auth extends WithDatabase {
  answer(meta: Meta, session: Session, user: User, cookie: boolean): Login;
  tell(sessions: string[]): void;
  mailLink(from: Caller, purpose: Purpose, user: User): Promise<void>;
  mailReset(from: Caller, email: string): Promise<void>;
}

/** Sessions and tokens. Accounts and passwords are the users service's. */
export default (config: Config): ServiceSchema => {
  const tokens = createTokens(config);
  const mails = pLimit(MAILS_AT_ONCE);

  return service<AuthContract, Auth>({
    name: "auth",
    mixins: [database(config)],
    methods: {
      /** The answer to a login or a refresh; in cookie mode the refresh token goes into the cookie alone. */
      answer(meta: Meta, session: Session, user: User, cookie: boolean): Login {
        const { token, expiresIn } = tokens.sign({ id: user.id, role: user.role, session: session.id });
        const answer: Login = { access_token: token, token_type: "Bearer", expires_in: expiresIn, user };
        if (!cookie) return { ...answer, refresh_token: session.refreshToken };
        meta.$responseHeaders = setRefreshCookie(session.refreshToken, config.REFRESH_TOKEN_TTL);
        return answer;
      },

      /** Tells every gateway and notifier what ended. */
      tell(this: { broker: Parameters<typeof broadcast>[0] }, sessions: string[]) {
        if (sessions.length > 0) broadcast(this.broker, revoked, { sessions });
      },

      /** Mails a link, as often as the user's budget has it. */
      async mailLink(this: Auth, from: Caller, purpose: Purpose, user: User) {
        const token = await issueToken(this.db, purpose, user);
        if (token === null) return;
        try {
          await mailer.call(from, "send", MAILS[purpose](config, user.email, token));
        } catch (error) {
          await giveMailBack(this.db, purpose, user.id).catch(() => {});
          throw error;
        }
      },

      async mailReset(this: Auth, from: Caller, email: string) {
        const user = await users.call(from, "by_email", { email });
        if (user !== null) await this.mailLink(from, "reset_password", user);
      },
    },

    actions: {
      /** Creates an account and mails it a link. @throws Problem already-exists */
      register: {
        auth: "public",
        docs: {
          summary: "Create an account",
          description: "A link to verify the e-mail address is mailed to it.",
          answer: user,
          problems: ["already-exists"],
        },
        timeout: HASHING_TIMEOUT_MS,
        rules: accountRules,
        async handler(ctx) {
          const user = await users.call(ctx, "create", ctx.params);
          // The account is there, whatever becomes of the mail: it can be asked for again.
          await this.mailLink(ctx, "verify_email", user).catch((error: unknown) =>
            this.logger.warn(`no verification mail for user ${user.id}`, error),
          );
          return user;
        },
      },

      /** Opens a session by e-mail address or user name. @throws Problem invalid-credentials */
      login: {
        auth: "public",
        docs: {
          summary: "Log in",
          description:
            "Send `login`, an e-mail address or user name, or `email`; white space around it does not count. Failed logins are counted for the client's address, with the name and with the account: a name that failed too often is 429 until the window ends, and another name of that account is refused like a wrong password meanwhile.",
          answer: schemas.login,
          problems: ["invalid-credentials"],
        },
        timeout: HASHING_TIMEOUT_MS,
        rules: {
          login: { ...address, optional: true, example: "ada" },
          email: { ...address, optional: true },
          password: givenPassword,
          cookie,
        },
        async handler(ctx) {
          const { login, email, password, cookie = false } = ctx.params;
          if (login !== undefined && email !== undefined)
            throw invalidField("email", "exclusive", "Send either login or email, not both");
          const name = login ?? email;
          if (name === undefined) throw invalidField("login", "required", "The 'login' field is required.");
          const verified = await users.call(ctx, "verify_password", { login: name, password });
          if (verified === null) throw new Problem("invalid-credentials");
          const { user, generation } = verified;
          const account = { id: user.id, generation };
          const session = await openSession(this.db, account, config.REFRESH_TOKEN_TTL, ctx.meta.client);
          if (session === null) throw new Problem("invalid-credentials");
          return this.answer(ctx.meta, session, user, cookie);
        },
      },

      /** Rotates a refresh token (RFC 9700 §4.14). The gateway puts the cookie's into the params. @throws Problem invalid-token */
      refresh: {
        auth: "public",
        docs: {
          summary: "Get new tokens",
          description:
            "The refresh token works once, and comes in the body or, in cookie mode, in its cookie. One that was used before ends its session: somebody else has it. (A client that lost the answer may ask again as long as it has not used the new token, and 10 seconds longer.) A page that sends the cookie has to be of the API's own origin or of one that the server lists (`CORS_ORIGINS`), else the answer is 403.",
          answer: schemas.login,
          problems: ["invalid-token", "forbidden"],
        },
        rules: { refresh_token: secret, cookie },
        async handler(ctx) {
          const { refresh_token, cookie = false } = ctx.params;
          // What the answer needs comes first: no token is spent for an answer that can't be made.
          const holder = await holderOf(this.db, refresh_token);
          if (holder === null) throw new Problem("invalid-token");
          const user = await users.call(ctx, "account", { id: holder });
          const rotation = await rotate(this.db, refresh_token, config.REFRESH_TOKEN_TTL);
          if ("refused" in rotation) {
            if (rotation.revoked !== null) this.tell([rotation.revoked]);
            throw new Problem("invalid-token");
          }
          return this.answer(ctx.meta, rotation.session, user, cookie);
        },
      },

      /** Ends the caller's session, everywhere at once. */
      logout: {
        auth: "session",
        docs: {
          summary: "Log out",
          description: "Ends the session that asks, everywhere at once.",
          answer: null,
        },
        rules: {},
        async handler(ctx) {
          const { id, session } = ctx.locals.actor;
          await revokeSession(this.db, id, session);
          this.tell([session]);
          ctx.meta.$responseHeaders = clearRefreshCookie();
        },
      },

      /** Ends all sessions of the caller. Personal tokens stay: they are ended one by one. */
      logout_all: {
        auth: "session",
        docs: {
          summary: "Log out everywhere",
          description: "Ends all sessions of the user. Personal access tokens stay.",
          answer: null,
        },
        rules: {},
        async handler(ctx) {
          this.tell(await revokeSessions(this.db, ctx.locals.actor.id));
          ctx.meta.$responseHeaders = clearRefreshCookie();
        },
      },

      /** The caller's own account. */
      me: {
        auth: "user",
        projectBound: true,
        docs: { summary: "Read your own account", answer: user },
        safe: true,
        rules: {},
        handler: (ctx) => users.call(ctx, "account", { id: ctx.locals.actor.id }),
      },

      /** The caller's open sessions. */
      list_sessions: {
        auth: "session",
        docs: { summary: "List your sessions", answer: schemas.sessions },
        safe: true,
        rules: pageRules(...SESSION_SORTS),
        handler(ctx) {
          const { id, session } = ctx.locals.actor;
          return listSessions(this.db, { userId: id, current: session }, ctx.params as PageOf);
        },
      },

      /** Ends one of the caller's sessions. @throws Problem not-found */
      end_session: {
        auth: "session",
        docs: { summary: "End one of your sessions", answer: null },
        rules: { id: rules.id },
        async handler(ctx) {
          if (!(await revokeSession(this.db, ctx.locals.actor.id, ctx.params.id)))
            throw missing("session", ctx.params.id);
          this.tell([ctx.params.id]);
        },
      },

      /** Confirms an e-mail address by the link that was mailed to it. @throws Problem validation-failed */
      verify_email: {
        auth: "public",
        docs: {
          summary: "Verify an e-mail address",
          description: "With the token of the link that was mailed to it.",
          answer: null,
        },
        rules: { token: secret },
        async handler(ctx) {
          const { token } = ctx.params;
          const link = await findLink(this.db, "verify_email", token);
          if (link === null) throw spentLink();
          // The mark may be set twice, so a link is spent after it: a request that fails in between is sent again.
          await users.call(ctx, "mark_verified", { id: link.user_id, email: link.email }).catch(linkOfNobody);
          await spendLink(this.db, token);
        },
      },

      /** Mails the caller a new link; nothing to do for an address that is confirmed. */
      resend_verification: {
        auth: "session",
        docs: {
          summary: "Mail the link again",
          description:
            "Nothing happens for an address that is verified. A mail that was sent in the last minute is not sent again, and 10 are sent in a day at the most.",
          answer: null,
        },
        rules: {},
        async handler(ctx) {
          const user = await users.call(ctx, "account", { id: ctx.locals.actor.id });
          if (!user.is_verified) await this.mailLink(ctx, "verify_email", user);
        },
      },

      /** Mails a link if there is such an account. What it takes to find out happens after the answer. */
      forgot_password: {
        auth: "public",
        docs: {
          summary: "Forgot the password",
          description:
            "Mails a link if there is such an account. The answer is the same if there is none, and if one was mailed in the last minute or 10 in a day.",
          answer: null,
        },
        rules: { email: { ...rules.line(1, 254), trim: true, example: "ada@example.com" } },
        handler(ctx) {
          if (mails.pendingCount >= MAILS_WAITING) throw new Problem("overloaded");
          const { broker, logger } = this;
          mails(() => this.mailReset(broker, ctx.params.email)).catch((error: unknown) =>
            logger.warn("a password mail could not be prepared", error),
          );
        },
      },

      /** Sets a new password by the link that was mailed, and ends all sessions. @throws Problem validation-failed */
      reset_password: {
        auth: "public",
        docs: {
          summary: "Set a new password by mail",
          description: "With the token of the link that was mailed. All sessions end.",
          answer: null,
        },
        timeout: HASHING_TIMEOUT_MS,
        rules: { token: secret, password: accountRules.password },
        async handler(ctx) {
          const { token, password } = ctx.params;
          await users.call(ctx, "check_new_password", { password });
          const link = await findLink(this.db, "reset_password", token);
          if (link === null) throw spentLink();
          // One commit: the password is set under the generation of the link, and counting that on is what ends the link,
          // all others and all sessions. Of two resets by one link the second finds another generation.
          const { user_id: id, email, generation } = link;
          await users.call(ctx, "set_password", { id, password, email, generation }).catch(linkOfNobody);
        },
      },

      /** Changes the caller's password, and ends their other sessions. @throws Problem validation-failed */
      change_password: {
        auth: "session",
        docs: {
          summary: "Change your password",
          description: "Your other sessions and your personal access tokens end.",
          answer: null,
          problems: ["conflict"],
        },
        timeout: HASHING_TIMEOUT_MS,
        rules: { current_password: givenPassword, password: accountRules.password },
        async handler(ctx) {
          const { id, session } = ctx.locals.actor;
          const { current_password, password } = ctx.params;
          const generation = await users.call(ctx, "check_password", { id, password: current_password });
          if (generation === null)
            throw invalidField("current_password", "wrong", "This is not your present password");
          // Looked at after the generation was read: as long as that stays, so does the session, which may then be kept.
          if (!(await isInForce(this.db, id, session))) throw new Problem("invalid-token");
          await users
            .call(ctx, "set_password", { id, password, generation, keep_session: session })
            .catch((error: unknown) => {
              if (problemCode(error) !== "not-found") throw error;
              throw new Problem("conflict", "The account changed meanwhile: try again");
            });
        },
      },

      /** The caller's personal access tokens, without their text. */
      list_tokens: {
        auth: "session",
        docs: {
          summary: "List your personal access tokens",
          description: "Without their text.",
          answer: schemas.personalTokens,
        },
        safe: true,
        rules: pageRules(...TOKEN_SORTS),
        handler(ctx) {
          return listTokens(this.db, ctx.locals.actor.id, ctx.params as PageOf);
        },
      },

      /** A new one; its text is shown this once. */
      create_token: {
        auth: "session",
        docs: {
          summary: "Make a personal access token",
          description:
            "For programs. Its text is shown this once. With `project_ids` it reaches these projects, their members, tasks, comments and events, and nothing else: no personal tasks, no categories, no other people.",
          answer: schemas.newPersonalToken,
        },
        rules: {
          name: { ...rules.line(1, 100), trim: true },
          scope: { type: "enum", values: [...TOKEN_SCOPES] },
          project_ids: {
            type: "array",
            items: rules.id,
            min: 1,
            max: MAX_TOKEN_PROJECTS,
            unique: true,
            optional: true,
            nullable: true,
          },
          expires_at: { ...rules.timestamp, optional: true, nullable: true },
        },
        async handler(ctx) {
          const { expires_at, project_ids } = ctx.params;
          if (expires_at != null && Date.parse(expires_at) <= Date.now())
            throw invalidField("expires_at", "past", "The 'expires_at' field must lie in the future.");
          if (project_ids != null) {
            const readable = await projects.call(ctx, "readable", { ids: project_ids });
            const at = project_ids.findIndex((id) => !readable.includes(id));
            if (at !== -1)
              throw invalidField(`project_ids/${at}`, "unknown", `There is no project ${project_ids[at]}`);
          }
          return createToken(this.db, ctx.locals.actor, ctx.params);
        },
      },

      /** Ends one. @throws Problem not-found */
      revoke_token: {
        auth: "session",
        docs: { summary: "Revoke a personal access token", answer: null },
        rules: { id: rules.id },
        async handler(ctx) {
          if (!(await revokeToken(this.db, ctx.locals.actor.id, ctx.params.id)))
            throw missing("token", ctx.params.id);
          this.tell([ctx.params.id]);
        },
      },

      /** Tidies what a new role or password, a deactivation or an erasure ended. */
      forget_ended: {
        auth: "internal",
        rules: { user_id: rules.id },
        async handler(ctx) {
          await forgetEnded(this.db, ctx.params.user_id);
        },
      },

      /** Who a personal token speaks for. @throws Problem invalid-token */
      verify_token: {
        auth: "internal",
        safe: true,
        rules: { token: secret },
        async handler(ctx) {
          const found = await findToken(this.db, ctx.params.token);
          if (found === null) throw new Problem("invalid-token");
          const { id: session, user_id: id, role, scope, project_ids } = found;
          const actor: Actor = {
            id,
            role,
            session,
            scope,
            ...(project_ids !== null && { projects: project_ids }),
          };
          return { actor, expires_at: found.expires_at === null ? null : Date.parse(found.expires_at) };
        },
      },
    },
  });
};

const spentLink = (): Problem =>
  invalidField("token", "spent", "This link is not valid, was used, or has expired: ask for a new one");

/** The address was changed after the mail: the link speaks for one that is no longer theirs. */
const linkOfNobody = (error: unknown): never => {
  throw problemCode(error) === "not-found" ? spentLink() : error;
};
