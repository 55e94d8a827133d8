import { col, fn, type Model, type ModelStatic, Op, UniqueConstraintError, where } from "sequelize";
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { modelProblem } from "../../mixins/model.ts";
import { hashPassword, verifyPassword } from "./password.ts";
import type { NewUser } from "./users.contract.ts";
import type { UserRow } from "./users.model.ts";

export type UserModel = ModelStatic<Model<UserRow>>;

/** Which field a unique index guards. */
const UNIQUE: Record<string, string> = { users_email_key: "email", users_username_key: "username" };

function takenProblem(error: unknown): unknown {
  if (!(error instanceof UniqueConstraintError)) return modelProblem(error);
  const constraint = (error.parent as { constraint?: string }).constraint ?? "";
  const field = UNIQUE[constraint] ?? "user";
  const message = `This ${field} is taken`;
  return new Problem("already-exists", message, {
    errors: [{ pointer: `#/${field}`, code: "taken", message }],
  });
}

/** @throws Problem already-exists for an e-mail address or user name that is taken, in any case of its letters */
export async function createUser(model: UserModel, input: NewUser, cost: number): Promise<UserRow> {
  const { password, ...names } = input;
  const now = new Date();
  const row: UserRow = {
    id: newId(),
    first_name: null,
    last_name: null,
    ...names,
    password_hash: await hashPassword(password, cost),
    role: "user",
    is_active: true,
    is_verified: false,
    created_at: now,
    updated_at: now,
  };
  try {
    await model.create(row);
    return row;
  } catch (error) {
    throw takenProblem(error);
  }
}

/** The active user with this e-mail address or user name, if the password is right; null, just as late, if not. */
export async function findByPassword(
  model: UserModel,
  { login, password }: { login: string; password: string },
  cost: number,
): Promise<UserRow | null> {
  const folded = login.toLowerCase();
  const found = await model
    .findOne({
      where: {
        [Op.or]: [where(fn("lower", col("email")), folded), where(fn("lower", col("username")), folded)],
      },
    })
    .catch((error: unknown) => {
      throw modelProblem(error);
    });
  const row = found?.get() ?? null;
  const right = await verifyPassword(password, row?.password_hash ?? null, cost);
  return right && row?.is_active === true ? row : null;
}
