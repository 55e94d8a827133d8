import * as rules from "../../core/rules.ts";
import { accountRules } from "../users/users.contract.ts";
import { TOKEN_SCOPES } from "./auth.contract.ts";

/** Projects that a personal token can be limited to. */
const MAX_TOKEN_PROJECTS = 100;

/** A token that this service made. */
export const token = {
  type: "string",
  min: 1,
  max: 512,
  example: "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA",
} as const;

/** A password to be checked; one that is set follows the rules for new passwords. */
const existingPassword = { type: "string", min: 1, max: 1000, example: "correct horse" } as const;
const loginName = { ...rules.text(1, 254), trim: true, optional: true } as const;
const cookie = {
  type: "boolean",
  optional: true,
  description: "Keep the refresh token in a cookie.",
} as const;

export const newUser = accountRules;
export const login = {
  login: { ...loginName, example: "ada" },
  email: loginName,
  password: existingPassword,
  cookie,
} as const;
export const refresh = { refresh_token: token, cookie } as const;

export const forgottenPassword = {
  email: { ...rules.line(1, 254), trim: true, example: "ada@example.com" },
} as const;
export const passwordReset = { token, password: accountRules.password } as const;
export const passwordChange = {
  current_password: existingPassword,
  password: accountRules.password,
} as const;

export const newPersonalToken = {
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
} as const;
