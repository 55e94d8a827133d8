import { randomBytes } from "node:crypto";
import { mustMatch } from "../../core/preconditions.ts";
import { missing, Problem, takenField } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import type { Actor, Conditions, Role } from "../../core/kit.ts";
import { keyOf } from "../../core/text.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import { violatedConstraint } from "../../mixins/database-errors.ts";
import { rememberApart, remembered } from "../../mixins/idempotency.ts";
import { endSessions, ENDS_SESSIONS, enqueueCleanup } from "./account-cleanup.ts";
import { hashPassword } from "./password.ts";
import { SETTABLE, USER_COLUMNS } from "./users.columns.ts";
import type { NewUser, User, UserChanges } from "./users.contract.ts";
import { may, type UserVerb, WHY_NOT } from "./users.policy.ts";

/** The field that each unique index guards. */
const UNIQUE: Record<string, string> = { users_email_key: "email", users_username_key: "username" };

function takenProblem(error: unknown): unknown {
  const field = UNIQUE[violatedConstraint(error) ?? ""];
  return field === undefined ? error : takenField(field, `This ${field} is taken`);
}

/** A row to insert. */
interface Insertion extends Required<UserChanges> {
  password_hash: string;
  is_verified: boolean;
}

const INSERTED = [
  "id",
  ...SETTABLE,
  "password_hash",
  "is_verified",
  "email_key",
  "username_key",
  "created_at",
  "updated_at",
];
const INSERT = `INSERT INTO users.users (${INSERTED.join(", ")})
                VALUES (${INSERTED.map((_name, n) => `$${n + 1}`).join(", ")}) RETURNING ${USER_COLUMNS}`;

/** @throws Problem already-exists for an e-mail address or user name that is taken, in any letter case */
export async function insertUser(db: Queryable, row: Insertion): Promise<User> {
  const now = new Date();
  try {
    const [user] = await db.query<User>({
      name: "users-insert",
      text: INSERT,
      values: [
        newId(),
        ...SETTABLE.map((field) => row[field]),
        row.password_hash,
        row.is_verified,
        keyOf(row.email),
        keyOf(row.username),
        now,
        now,
      ],
    });
    return user as User;
  } catch (error) {
    throw takenProblem(error);
  }
}

/** @throws Problem already-exists, as `insertUser`; overloaded */
export async function createUser(
  db: Queryable,
  { email, username, password, first_name = null, last_name = null }: NewUser,
  cost: number,
  { role, is_verified }: { role: Role; is_verified: boolean } = { role: "user", is_verified: false },
): Promise<User> {
  const names = { email, username, first_name, last_name };
  const password_hash = await hashPassword(password, cost);
  return insertUser(db, { ...names, role, is_active: true, password_hash, is_verified });
}

/** SQL for the time of a change: later than the change before it, so that the two differ. */
const LATER = (now: string): string => `greatest(${now}, updated_at + interval '1 ms')`;

export interface PasswordChange {
  id: string;
  password: string;
  /** The account's generation when the caller proved the right to change the password. */
  generation: number;
  email?: string;
  keep_session?: string;
}

/**
 * Sets a password and ends the account's sessions and tokens in one commit.
 * @throws Problem not-found for no such active user, or one that has another generation or address now; overloaded
 */
export async function setPassword(
  db: Queryable,
  { id, password, generation, email, keep_session }: PasswordChange,
  cost: number,
): Promise<void> {
  const rows = await db.query({
    name: "users-set-password",
    write: true,
    text: `WITH ended AS (
             UPDATE users.users SET password_hash = $2, updated_at = ${LATER("$3")}, ${ENDS_SESSIONS},
                                    kept_session = $6
             WHERE id = $1 AND is_active AND ($4::text IS NULL OR email_key = $4) AND sessions_generation = $5
             RETURNING id, sessions_generation)
           ${enqueueCleanup("ended")}`,
    values: [
      id,
      await hashPassword(password, cost),
      new Date(),
      email === undefined ? null : keyOf(email),
      generation,
      keep_session ?? null,
    ],
  });
  if (rows.length === 0) throw missing("user", id);
}

/** @throws Problem not-found for no such active user with this e-mail address */
export async function markVerified(db: Queryable, id: string, email: string): Promise<void> {
  const rows = await db.query({
    name: "users-mark-verified",
    text: `UPDATE users.users
           SET is_verified = true, updated_at = CASE WHEN is_verified THEN updated_at ELSE ${LATER("$3")} END
           WHERE id = $1 AND is_active AND email_key = $2 RETURNING id`,
    values: [id, keyOf(email), new Date()],
  });
  if (rows.length === 0) throw missing("user", id);
}

/** A user has no version: the time of the last change stands for it. */
const versionOf = ({ updated_at }: User): number => Date.parse(updated_at);

interface LockedUser {
  user: User;
  /** Whether another account is an active admin; the locks on all admins keep it so. */
  anotherAdmin: boolean;
}

/**
 * Locks an account for a write and checks that the caller may do it. An admin's write and an erasure first lock all
 * active admins, in the order of their ids. Such writes take turns: of two admins who demote each other one remains, and
 * a demoted admin's next write is refused. (NO KEY: rows that refer to a user need not wait.)
 * @throws Problem not-found (erased accounts too), forbidden
 */
async function lockUser(
  tx: Queryable,
  actor: Actor,
  id: string,
  verbs: readonly UserVerb[],
): Promise<LockedUser> {
  let [who, anotherAdmin] = [actor, true];
  if (actor.role === "admin" || verbs.includes("erase")) {
    const admins = await tx.query<{ id: string }>({
      text: `SELECT id FROM users.users WHERE role = 'admin' AND is_active ORDER BY id FOR NO KEY UPDATE`,
    });
    anotherAdmin = admins.some((admin) => admin.id !== id);
    if (actor.role === "admin" && !admins.some((admin) => admin.id === actor.id))
      who = { ...actor, role: "user" };
  }
  const [user] = await tx.query<User>({
    text: `SELECT ${USER_COLUMNS} FROM users.users WHERE id = $1 AND erased_at IS NULL FOR NO KEY UPDATE`,
    values: [id],
  });
  if (user === undefined || !may(who, "read", user)) throw missing("user", id);
  const refused = verbs.find((verb) => !may(who, verb, user));
  if (refused !== undefined) throw new Problem("forbidden", WHY_NOT[refused]);
  return { user, anotherAdmin };
}

/** @throws Problem conflict when `next` would leave no active admin */
function keepAnAdmin({ user, anotherAdmin }: LockedUser, next: Pick<User, "role" | "is_active">): void {
  const isAdmin = ({ role, is_active }: Pick<User, "role" | "is_active">) => role === "admin" && is_active;
  if (isAdmin(user) && !isAdmin(next) && !anotherAdmin)
    throw new Problem("conflict", "This is the last active admin: make another user admin first");
}

/** Parameters: the id, the time, then these. */
const UPDATED = [...SETTABLE, "is_verified", "email_key", "username_key"];
const UPDATE = `UPDATE users.users
                SET updated_at = ${LATER("$2")}, ${UPDATED.map((column, n) => `${column} = $${n + 3}`).join(", ")}
                WHERE id = $1 RETURNING ${USER_COLUMNS}`;

/** What a change of an account asks for after its commit. It is remembered under the idempotency key. */
interface Change {
  /** Not remembered, since it has personal data: a request that comes again reads the account. */
  user?: User;
  /** Whether the account's sessions ended, because role or `is_active` changed. */
  sessionsEnd: boolean;
  /** Whether the e-mail address changed in more than letter case. */
  newAddress: boolean;
}

/**
 * Sets the given fields. A new e-mail address is not verified.
 * @throws Problem not-found, forbidden, precondition-failed, already-exists; conflict for the last active admin
 */
export async function changeUser(
  db: Database,
  actor: Actor,
  id: string,
  changes: UserChanges,
  conditions: Conditions,
): Promise<Change> {
  const administers = changes.role !== undefined || changes.is_active !== undefined;
  return db.transaction(async (tx) => {
    const locked = await lockUser(tx, actor, id, administers ? ["edit", "administer"] : ["edit"]);
    const { user } = locked;
    mustMatch(conditions, versionOf(user));
    const next = { ...user, ...changes };
    if (SETTABLE.every((field) => next[field] === user[field])) {
      const unchanged = { sessionsEnd: false, newAddress: false };
      await rememberApart(tx, remembered({ actor, conditions }, unchanged));
      return { user, ...unchanged };
    }
    keepAnAdmin(locked, next);
    const newAddress = keyOf(next.email) !== keyOf(user.email);
    const sessionsEnd = next.role !== user.role || next.is_active !== user.is_active;
    const values = [
      id,
      new Date(),
      ...SETTABLE.map((field) => next[field]),
      user.is_verified && !newAddress,
      keyOf(next.email),
      keyOf(next.username),
    ];
    try {
      const [written] = await tx.query<User>({ text: UPDATE, values, outdates: [`person:${id}`] });
      if (sessionsEnd) await endSessions(tx, id);
      await rememberApart(tx, remembered({ actor, conditions }, { sessionsEnd, newAddress }));
      return { user: written as User, sessionsEnd, newAddress };
    } catch (error) {
      throw takenProblem(error);
    }
  });
}

/** Checks what `eraseUser` checks, before the caller does what must come first. @throws Problem the same */
export async function checkErasure(
  db: Database,
  actor: Actor,
  id: string,
  conditions: Conditions,
): Promise<void> {
  await db.transaction(async (tx) => {
    const locked = await lockUser(tx, actor, id, ["erase"]);
    mustMatch(conditions, versionOf(locked.user));
    keepAnAdmin(locked, { role: "user", is_active: false });
  });
}

/**
 * Deactivates an account, ends its sessions, erases its personal data, enqueues its cleanup (account-cleanup.ts) and
 * remembers the response, all in one commit. The row stays, because projects, tasks and comments refer to it.
 * @throws Problem not-found, also for one that is erased; forbidden; conflict for the last active admin
 */
export async function eraseUser(
  db: Database,
  actor: Actor,
  id: string,
  conditions: Conditions,
): Promise<void> {
  // A stranger may have registered the name that this account gets: the second attempt adds random digits.
  for (const suffix of ["", randomBytes(4).toString("hex")]) {
    try {
      const names = [`erased-${id}${suffix}@erased.invalid`, `erased-${id.slice(-12)}${suffix}`] as const;
      await db.transaction(async (tx) => {
        keepAnAdmin(await lockUser(tx, actor, id, ["erase"]), { role: "user", is_active: false });
        await tx.query({
          text: `UPDATE users.users
                 SET email = $2, username = $3, first_name = NULL, last_name = NULL, password_hash = '',
                     is_active = false, is_verified = false, erased_at = $4, updated_at = ${LATER("$4")},
                     email_key = $5, username_key = $6
                 WHERE id = $1`,
          values: [id, ...names, new Date(), ...names.map(keyOf)],
          outdates: [`person:${id}`],
        });
        await endSessions(tx, id, actor.id);
        await rememberApart(tx, remembered({ actor, conditions }, null));
      });
      return;
    } catch (error) {
      if (suffix !== "" || violatedConstraint(error) === null) throw error;
    }
  }
}
