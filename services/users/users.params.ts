import { pageRules } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { isCommonPassword } from "./common-passwords.ts";
import { accountRules, ROLES } from "./users.contract.ts";

const { email, username, first_name, last_name, password } = accountRules;

/** A password that is being set: docs/reference.md, Passwords. */
export const newPassword = {
  ...password,
  messages: { ...password.messages, common: "This password is one of the most common ones." },
  custom: (value: unknown, errors: Parameters<typeof password.custom>[1]) => {
    const before = errors.length;
    password.custom(value, errors);
    if (errors.length === before && isCommonPassword(String(value))) errors.push({ type: "common" });
    return value;
  },
} as const;

export const newUser = { ...accountRules, password: newPassword } as const;

export const userChanges = {
  email: { ...email, optional: true },
  username: { ...username, optional: true },
  first_name,
  last_name,
  role: { type: "enum", values: [...ROLES], optional: true, admin: true },
  is_active: { type: "boolean", optional: true, admin: true },
} as const;

export const search = {
  q: { ...rules.text(1, 100), optional: true, trim: true, description: "A part of a name." },
  ...pageRules("relevance", "username", "created_at"),
} as const;

/** An e-mail address or a user name that some account may have. */
export const accountName = { type: "string", max: 254 } as const;
