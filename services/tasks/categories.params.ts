import * as rules from "../../core/rules.ts";

export const name = { ...rules.line(1, 50), trim: true } as const;
export const color = {
  type: "string",
  pattern: "^#[0-9A-Fa-f]{6}$",
  custom: (value: unknown) => (typeof value === "string" ? value.toUpperCase() : value),
} as const;
