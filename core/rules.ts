/**
 * Validator rules that several services share (fastest-validator). Patterns are strings: a RegExp does not survive
 * the broker, and the OpenAPI document is made from these. Query parameters arrive as text: `convert` turns them.
 */
import type { ValidationRuleObject } from "fastest-validator";

type CheckErrors = { type: string; actual?: unknown }[];

export const id = { type: "uuid" } satisfies ValidationRuleObject;
export const optionalId = { ...id, optional: true } satisfies ValidationRuleObject;
export const nullableId = { ...id, optional: true, nullable: true } satisfies ValidationRuleObject;

const TIMESTAMP = /^(\d{4})-(\d{2})-(\d{2})T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

/** An RFC 3339 timestamp in UTC with milliseconds; null when `text` is none (30 February is none). */
export function parseTimestamp(text: string): string | null {
  const [, year, month, day] = TIMESTAMP.exec(text) ?? [];
  const time = new Date(text);
  if (day === undefined || Number.isNaN(time.getTime())) return null;
  if (Number(day) > new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()) return null;
  return time.toISOString();
}

/** A timestamp with an offset, stored and answered in UTC. */
export const timestamp = {
  type: "string",
  format: "date-time",
  messages: { timestamp: "The '{field}' field must be an RFC 3339 timestamp such as 2026-11-21T09:30:00Z." },
  custom: (value: unknown, errors: CheckErrors) => {
    if (typeof value !== "string") return value;
    const parsed = parseTimestamp(value);
    if (parsed === null) errors.push({ type: "timestamp" });
    return parsed ?? value;
  },
} satisfies ValidationRuleObject;

/** A comma list out of `values`, which arrives as an array without repeats: `status=pending,in_progress`. */
export const commaList = (values: readonly string[]) =>
  ({
    type: "custom",
    optional: true,
    enum: [...values],
    messages: { commaList: `The '{field}' field takes ${values.join(", ")}, separated by commas.` },
    check: (value: unknown, errors: CheckErrors) => {
      const items = typeof value === "string" ? [...new Set(value.split(","))] : [];
      if (items.length === 0 || !items.every((item) => values.includes(item)))
        errors.push({ type: "commaList" });
      return items;
    },
  }) satisfies ValidationRuleObject;
