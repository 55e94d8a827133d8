/**
 * The first admin (docs/reference.md, Users), made of ADMIN_EMAIL and ADMIN_PASSWORD at every start of every node. Nothing
 * happens when an active admin exists.
 *
 * A stranger may have registered that address. One commit gives such an account the password and the role, and ends its
 * sessions.
 */
import { randomBytes } from "node:crypto";
import type { Service } from "moleculer";
import type { Config } from "../../core/config.ts";
import { Problem, problemCode } from "../../core/errors.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import { keyOf } from "../../core/text.ts";
import type { UsersLend } from "./users.methods.ts";
import { isCommonPassword } from "./common-passwords.ts";
import { endSessions } from "./account-cleanup.ts";
import { insertUser } from "./users.commands.ts";
import { hashPassword } from "./password.ts";

/** The key of an advisory lock (`twfa`): nodes that start at the same time make one admin. */
const LOCK = 0x74776661;
/** Milliseconds between two attempts. */
const RETRY_MS = 500;

export interface FirstAdmin {
  email: string;
  password: string;
  /** bcrypt's. */
  cost: number;
}

const hasAdmin = async (db: Queryable): Promise<boolean> =>
  (await db.query({ text: "SELECT FROM users.users WHERE role = 'admin' AND is_active LIMIT 1" })).length > 0;

/** Runs `make` under the lock, unless there is an admin. @returns null when there is one */
const unlessThereIsOne = <Result>(
  db: Database,
  make: (tx: Queryable) => Promise<Result>,
): Promise<Result | null> =>
  db.transaction(async (tx) => {
    await tx.query({ text: "SELECT pg_advisory_xact_lock($1)", values: [LOCK] });
    return (await hasAdmin(tx)) ? null : make(tx);
  });

/**
 * @returns the id of the account that is admin now; null when there was an admin
 * @throws Problem validation-failed for a common password; conflict when the account is deactivated; overloaded
 */
export async function makeFirstAdmin(db: Database, admin: FirstAdmin): Promise<string | null> {
  const { email, password, cost } = admin;
  if (await hasAdmin(db)) return null;
  if (isCommonPassword(password))
    throw new Problem("validation-failed", "ADMIN_PASSWORD is one of the most common passwords");
  const hash = await hashPassword(password, cost);
  return unlessThereIsOne(db, async (tx) => {
    const [user] = await tx.query<{ id: string; is_active: boolean }>({
      text: "SELECT id, is_active FROM users.users WHERE email_key = $1 FOR NO KEY UPDATE",
      values: [keyOf(email)],
    });
    if (user === undefined) return insert(tx, email, hash);
    if (!user.is_active) throw new Problem("conflict", "The account of ADMIN_EMAIL is deactivated");
    await tx.query({
      text: `UPDATE users.users SET password_hash = $2, role = 'admin', is_verified = true, updated_at = $3
             WHERE id = $1`,
      values: [user.id, hash, new Date()],
    });
    await endSessions(tx, user.id);
    return user.id;
  });
}

/** Inserts a verified admin named `admin`, or `admin-3f9a…` when that is taken. */
async function insert(tx: Queryable, email: string, password_hash: string): Promise<string> {
  const { length: taken } = await tx.query({
    text: "SELECT FROM users.users WHERE username_key = 'admin'",
  });
  const { id } = await insertUser(tx, {
    email,
    username: taken === 0 ? "admin" : `admin-${randomBytes(4).toString("hex")}`,
    first_name: null,
    last_name: null,
    role: "admin",
    is_active: true,
    is_verified: true,
    password_hash,
  });
  return id;
}

/** A node's attempts to make the first admin: the first one as it starts, others until one succeeds or is refused. */
export class FirstAdminSetup {
  readonly #service: Service & UsersLend;
  readonly #config: Config;
  #retry: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(service: Service & UsersLend, config: Config) {
    this.#service = service;
    this.#config = config;
  }

  /** Never throws. @returns when the first attempt has ended */
  async start(): Promise<void> {
    const { broker, cleaner, db, logger } = this.#service;
    const { ADMIN_EMAIL: email, ADMIN_PASSWORD: password, BCRYPT_COST: cost } = this.#config;
    if (email === "") return;
    try {
      const id = await makeFirstAdmin(db, { email, password, cost });
      if (id === null) return;
      logger.info(`user ${id} is admin, by ADMIN_EMAIL`);
      await cleaner.afterCommit(broker, id);
    } catch (error) {
      const { message } = error as Error;
      if (["validation-failed", "conflict"].includes(problemCode(error) ?? "")) {
        logger.error(`there is no first admin: ${message}`);
      } else if (!this.#isStopped) {
        logger.warn(`there is no first admin yet: ${message}`);
        this.#retry = setTimeout(() => void this.start(), RETRY_MS).unref();
      }
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#retry);
  }
}
