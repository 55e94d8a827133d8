/**
 * The first admin (docs/reference.md, Users), of ADMIN_EMAIL and ADMIN_PASSWORD. Where some active account is admin already,
 * nothing happens, so it may run at every start of every node.
 *
 * Somebody may have registered that address before, and it need not be theirs: such an account gets the password, is made
 * admin and loses all that it had open in one commit.
 */
import { randomBytes } from "node:crypto";
import { Problem } from "../../core/errors.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import { newId } from "../../core/ids.ts";
import { keyOf } from "../../core/text.ts";
import { isCommonPassword } from "./common-passwords.ts";
import { endSessions } from "./endings.ts";
import { hashPassword } from "./password.ts";

/** `taskwire first admin`: held while one is made, so that nodes which start at the same time make one. */
const LOCK = 0x74776661;

export interface FirstAdmin {
  email: string;
  password: string;
  /** bcrypt's. */
  cost: number;
}

const hasAdmin = async (db: Queryable): Promise<boolean> =>
  (await db.query({ text: "SELECT FROM users.users WHERE role = 'admin' AND is_active LIMIT 1" })).length > 0;

/** Runs `make` while no other node does, and only where there is no admin. */
const whereThereIsNone = <Result>(
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
  return whereThereIsNone(db, async (tx) => {
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

/** A verified admin, called `admin` or, where that is taken, something like `admin-3f9a`. */
async function insert(tx: Queryable, email: string, hash: string): Promise<string> {
  const id = newId();
  const { length: taken } = await tx.query({
    text: "SELECT FROM users.users WHERE username_key = 'admin'",
  });
  const username = taken === 0 ? "admin" : `admin-${randomBytes(4).toString("hex")}`;
  await tx.query({
    text: `INSERT INTO users.users (id, email, username, password_hash, role, is_verified, created_at, updated_at,
                                    email_key, username_key)
           VALUES ($1, $2, $3, $4, 'admin', true, $5, $5, $6, $7)`,
    values: [id, email, username, hash, new Date(), keyOf(email), keyOf(username)],
  });
  return id;
}
