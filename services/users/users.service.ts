import type { Service, ServiceSchema } from "moleculer";
import { atMost } from "../../core/at-most.ts";
import type { Config } from "../../core/config.ts";
import { missing, Problem, problemCode } from "../../core/errors.ts";
import { broadcast, type Caller, service } from "../../core/kit.ts";
import { pageRules, type PageOf } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { cache, type WithCache } from "../../mixins/cache.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import { model, modelProblem, type WithModel } from "../../mixins/model.ts";
import { auth } from "../auth/auth.contract.ts";
import { projects } from "../projects/projects.contract.ts";
import { tasks } from "../tasks/tasks.contract.ts";
import { isCommonPassword } from "./common-passwords.ts";
import { completeEnding, type Ending, holdEnding, takeUpEnding } from "./endings.ts";
import { makeFirstAdmin } from "./first-admin.ts";
import { verifyPassword } from "./password.ts";
import {
  changeUser,
  checkErasure,
  createUser,
  eraseUser,
  findByPassword,
  markVerified,
  setPassword,
} from "./users.commands.ts";
import {
  accountRules,
  HASHING_TIMEOUT,
  sessionsEnded,
  type UserChanges,
  type UsersContract,
} from "./users.contract.ts";
import { type UserRow, userModel } from "./users.model.ts";
import { may } from "./users.policy.ts";
import { accountOf, findByEmail, findUser, searchUsers } from "./users.queries.ts";
import { people, ROLES, user as userSchema, userOrPerson } from "./users.answers.ts";
import { personView, userView } from "./users.view.ts";

const { email, username, first_name, last_name, password: characters } = accountRules;
/** A password that is being set: docs/reference.md, Passwords. */
const newPassword = {
  ...characters,
  messages: { ...characters.messages, common: "This password is one of the most common ones." },
  custom: (value: unknown, errors: Parameters<typeof characters.custom>[1]) => {
    const before = errors.length;
    characters.custom(value, errors);
    if (errors.length === before && isCommonPassword(String(value))) errors.push({ type: "common" });
    return value;
  },
} as const;

/** Milliseconds. */
const FIRST_ADMIN_RETRY = 500;
/** Milliseconds between two looks for what sessions that ended left to do. */
const LOOK_MS = 1000;
/** Milliseconds that a client waits for what an erasure leaves to do. */
const PATIENCE_MS = 1000;

interface Lends extends WithModel<UserRow>, WithDatabase, WithCache {
  makeFirstAdmin(): Promise<void>;
  /** To be called after a commit that ended a user's sessions. Never throws: what fails now is done later. */
  begin(from: Caller, userId: string): Promise<void>;
  finish(from: Caller, ending: Ending): Promise<void>;
  finishDue(): Promise<void>;
  retry?: NodeJS.Timeout;
  looking?: NodeJS.Timeout;
  finishing?: Promise<void> | null;
  isStopping?: boolean;
}

/** Accounts and password hashes. Nobody else sees a hash. */
export default (config: Config): ServiceSchema =>
  service<UsersContract, Lends>({
    name: "users",
    mixins: [model(config, userModel), database(config), cache],
    async started() {
      clearInterval(this.looking);
      this.looking = setInterval(() => void (this.finishing ??= this.finishDue()), LOOK_MS);
      if (config.ADMIN_EMAIL !== "") await this.makeFirstAdmin();
    },
    async stopped() {
      this.isStopping = true;
      clearTimeout(this.retry);
      clearInterval(this.looking);
      await this.finishing;
    },
    methods: {
      /** Makes the first admin if there is none; now or, when something that it needs is away, later. Never throws. */
      async makeFirstAdmin(this: Service & Lends) {
        try {
          const id = await makeFirstAdmin(this.db, {
            email: config.ADMIN_EMAIL,
            password: config.ADMIN_PASSWORD,
            cost: config.BCRYPT_COST,
          });
          if (id === null) return;
          this.logger.info(`user ${id} is admin, by ADMIN_EMAIL`);
          await this.begin(this.broker, id);
        } catch (error) {
          const { message } = error as Error;
          if (["validation-failed", "conflict"].includes(problemCode(error) ?? "")) {
            this.logger.error(`there is no first admin: ${message}`);
          } else if (this.isStopping !== true) {
            this.logger.warn(`there is no first admin yet: ${message}`);
            this.retry = setTimeout(() => void this.makeFirstAdmin(), FIRST_ADMIN_RETRY).unref();
          }
        }
      },

      async begin(this: Service & Lends, from: Caller, userId: string) {
        broadcast(this.broker, sessionsEnded, { user_id: userId });
        try {
          await this.outdate([`person:${userId}`]);
          const ending = await holdEnding(this.db, userId);
          if (ending !== null) await this.finish(from, ending);
        } catch (error) {
          this.logger.warn(`what user ${userId} left is tidied later: ${(error as Error).message}`);
        }
      },

      /** Does what is left, each step though another fails. @throws the first failure: the whole is repeated then */
      async finish(this: Service & Lends, from: Caller, ending: Ending) {
        const { user_id, erased_by } = ending;
        const steps = [() => auth.call(from, "forget_ended", { user_id })];
        if (erased_by !== null)
          steps.push(
            async () => {
              while (await tasks.call(from, "unassign_user", { user_id, by: erased_by }))
                await holdEnding(this.db, user_id);
            },
            () => projects.call(from, "leave_all", { user_id }),
          );
        const failures: unknown[] = [];
        for (const step of steps) await step().catch((error: unknown) => failures.push(error));
        if (failures.length > 0) throw failures[0];
        await completeEnding(this.db, ending);
      },

      /** Takes up what is due, whichever node left it. Never throws. */
      async finishDue(this: Service & Lends) {
        try {
          for (let ending; this.isStopping !== true && (ending = await takeUpEnding(this.db)) !== null;) {
            const { user_id } = ending;
            await this.outdate([`person:${user_id}`]);
            await this.finish(this.broker, ending).catch((error: Error) =>
              this.logger.warn(`what user ${user_id} left is tidied later: ${error.message}`),
            );
          }
        } catch (error) {
          this.logger.debug("what ended could not be looked for", error);
        } finally {
          this.finishing = null;
        }
      },
    },
    actions: {
      /** Finds people by a part of their names. */
      list: {
        auth: "user",
        safe: true,
        docs: {
          summary: "Find people",
          description:
            "By a part of their user name or full name; admins also by e-mail address. Those whose user name begins with it come first.",
          answer: people,
        },
        rules: {
          q: { ...rules.text(1, 100), optional: true, trim: true, description: "A part of a name." },
          ...pageRules("relevance", "username", "created_at"),
        },
        handler(ctx) {
          const { q = "", ...page } = ctx.params as typeof ctx.params & PageOf;
          return searchUsers(this.db, ctx.locals.actor, q, page);
        },
      },

      /** One user, as much of them as the caller may see. @throws Problem not-found */
      get: {
        auth: "user",
        safe: true,
        docs: {
          summary: "Read a user",
          description: "The whole account for its owner and for admins, the person for others.",
          answer: userOrPerson,
        },
        rules: { id: rules.id },
        async handler(ctx) {
          const { actor } = ctx.locals;
          const user = await findUser(this.db, actor, ctx.params.id);
          return may(actor, "read_account", user) ? user : personView(user);
        },
      },

      /** Changes an account. @throws Problem not-found, forbidden, already-exists, conflict (the last admin) */
      patch: {
        auth: "session",
        docs: {
          summary: "Change an account",
          description:
            "One's own, or any for admins; `role` and `is_active` are for admins. A new e-mail address needs verifying anew: it is mailed a link, 10 mails in a day at the most, and such a request costs the stricter budget of the auth routes too. A new role ends the user's sessions.",
          answer: userSchema,
          problems: ["forbidden", "already-exists", "conflict"],
        },
        rules: {
          id: rules.id,
          email: { ...email, optional: true },
          username: { ...username, optional: true },
          first_name,
          last_name,
          role: { type: "enum", values: [...ROLES], optional: true, admin: true },
          is_active: { type: "boolean", optional: true, admin: true },
        },
        async handler(ctx) {
          const { id, ...named } = ctx.params;
          // The validator leaves a key without a value for some fields that were not sent.
          const changes: UserChanges = Object.fromEntries(
            Object.entries(named).filter(([, value]) => value !== undefined),
          );
          const { actor } = ctx.locals;
          const { user, sessionsEnd, newAddress } = await changeUser(
            this.db,
            actor,
            id,
            changes,
            ctx.locals.conditions,
          );
          await this.outdate([`person:${id}`]);
          if (sessionsEnd) void this.begin(this.broker, id);
          // The change holds, whatever becomes of the mail: it can be asked for again.
          else if (newAddress && id === actor.id)
            await auth
              .call(ctx, "resend_verification", {})
              .catch((error: unknown) => this.logger.warn(`no verification mail for user ${id}`, error));
          return user;
        },
      },

      /** Erases an account, and unassigns its tasks. @throws Problem not-found, forbidden, conflict (the last admin) */
      delete: {
        auth: "session",
        docs: {
          summary: "Erase an account",
          description:
            "It is deactivated, what tells who it was is erased, and its tasks stay, assigned to nobody; what a service that is away keeps from being done at once follows within seconds of its return. 409 for the only owner of a project with other members: make somebody else owner first.",
          answer: null,
          problems: ["forbidden", "conflict"],
        },
        rules: { id: rules.id },
        async handler(ctx) {
          const { id } = ctx.params;
          await checkErasure(this.db, ctx.locals.actor, id, ctx.locals.conditions);
          const orphan = await projects.call(ctx, "sole_owner_of", { user_id: id });
          if (orphan !== null)
            throw new Problem("conflict", `Make somebody else owner of the project '${orphan}' first`);
          await eraseUser(this.db, ctx.locals.actor, id);
          // The account is erased, whatever becomes of the rest now: that is finished by any node, until it is done.
          await atMost(PATIENCE_MS, this.begin(ctx, id));
        },
      },

      /** Creates an account. @throws Problem already-exists, overloaded */
      create: {
        auth: "internal",
        timeout: HASHING_TIMEOUT,
        rules: { ...accountRules, password: newPassword },
        handler(ctx) {
          return createUser(this.db, ctx.params, config.BCRYPT_COST);
        },
      },

      /** The whole account of one user. @throws Problem not-found */
      account: {
        auth: "internal",
        safe: true,
        rules: { id: rules.id },
        async handler(ctx) {
          const found = await this.model.findByPk(ctx.params.id).catch((error: unknown) => {
            throw modelProblem(error);
          });
          if (found === null) throw missing("user", ctx.params.id);
          return userView(found.get());
        },
      },

      /** Checks a login. @throws Problem overloaded */
      verify_password: {
        auth: "internal",
        timeout: HASHING_TIMEOUT,
        rules: { login: { type: "string", max: 254 }, password: "string" },
        async handler(ctx) {
          const row = await findByPassword(this.model, ctx.params, config.BCRYPT_COST);
          return row === null ? null : { user: userView(row), generation: row.sessions_generation };
        },
      },

      /** Small objects for answers that name people, and what assignments and memberships ask of them. */
      people: {
        auth: "internal",
        safe: true,
        rules: { ids: { type: "array", items: "uuid", max: 1000 } },
        async handler(ctx) {
          return this.cachedEach("person", ctx.params.ids, async (ids) => {
            const rows = await this.model.findAll({ where: { id: ids } }).catch((error: unknown) => {
              throw modelProblem(error);
            });
            return rows
              .map((row) => row.get())
              .map((row) => ({ ...personView(row), is_active: row.is_active, role: row.role }));
          });
        },
      },

      /** An account by either of its names. */
      account_of: {
        auth: "internal",
        safe: true,
        rules: { login: { type: "string", max: 254 } },
        handler(ctx) {
          return accountOf(this.db, ctx.params.login);
        },
      },

      /** Whom to mail at an address. */
      by_email: {
        auth: "internal",
        safe: true,
        rules: { email: { type: "string", max: 254 } },
        handler(ctx) {
          return findByEmail(this.db, ctx.params.email);
        },
      },

      /** Under which generation an active user has this password. @throws Problem overloaded */
      check_password: {
        auth: "internal",
        timeout: HASHING_TIMEOUT,
        rules: { id: rules.id, password: "string" },
        async handler(ctx) {
          const found = await this.model.findByPk(ctx.params.id).catch((error: unknown) => {
            throw modelProblem(error);
          });
          const row = found?.get();
          const hash = row?.is_active === true ? row.password_hash : null;
          const right = await verifyPassword(ctx.params.password, hash, config.BCRYPT_COST);
          return right && row !== undefined ? row.sessions_generation : null;
        },
      },

      /** Whether a password will do, before anything is spent on it. @throws ValidationError */
      check_new_password: {
        auth: "internal",
        safe: true,
        rules: { password: newPassword },
        handler() {},
      },

      /** Gives an active user a new password, and ends their sessions. @throws Problem not-found, overloaded */
      set_password: {
        auth: "internal",
        timeout: HASHING_TIMEOUT,
        rules: {
          id: rules.id,
          password: newPassword,
          generation: { type: "number", integer: true },
          email: { type: "string", max: 254, optional: true },
          keep_session: rules.optionalId,
        },
        async handler(ctx) {
          await setPassword(this.db, ctx.params, config.BCRYPT_COST);
          void this.begin(this.broker, ctx.params.id);
        },
      },

      /** Notes that the user reads mail at this address. @throws Problem not-found when it is theirs no more */
      mark_verified: {
        auth: "internal",
        rules: { id: rules.id, email: { type: "string", max: 254 } },
        handler(ctx) {
          return markVerified(this.db, ctx.params.id, ctx.params.email);
        },
      },
    },
  });
