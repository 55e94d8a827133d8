import { DataTypes } from "sequelize";
import type { ModelDefinition } from "../../mixins/model.ts";
import type { User } from "./users.contract.ts";

/** A row of users.users. Sequelize makes dates Date objects. */
export interface UserRow extends Omit<User, "created_at" | "updated_at"> {
  created_at: Date;
  updated_at: Date;
  password_hash: string;
  /** Grows by one with each commit that ends all sessions. */
  sessions_generation: number;
  /** The names by which an account is found: `keyOf` in core/text.ts. */
  email_key: string;
  username_key: string;
}

export const userModel: ModelDefinition = {
  name: "user",
  define: {
    id: { type: DataTypes.UUID, primaryKey: true },
    email: { type: DataTypes.TEXT, allowNull: false },
    username: { type: DataTypes.TEXT, allowNull: false },
    first_name: DataTypes.TEXT,
    last_name: DataTypes.TEXT,
    password_hash: { type: DataTypes.TEXT, allowNull: false },
    role: { type: DataTypes.TEXT, allowNull: false, defaultValue: "user" },
    is_active: { type: DataTypes.BOOLEAN, allowNull: false, defaultValue: true },
    is_verified: { type: DataTypes.BOOLEAN, allowNull: false, defaultValue: false },
    created_at: { type: DataTypes.DATE(3), allowNull: false },
    updated_at: { type: DataTypes.DATE(3), allowNull: false },
    sessions_generation: { type: DataTypes.INTEGER, allowNull: false, defaultValue: 1 },
    email_key: { type: DataTypes.TEXT, allowNull: false },
    username_key: { type: DataTypes.TEXT, allowNull: false },
  } satisfies Record<keyof UserRow, unknown>,
  options: { schema: "users", tableName: "users", timestamps: false },
};
