/**
 * Validator rules that several services share (fastest-validator). Patterns are strings: a RegExp does not survive
 * the broker, and the OpenAPI document is made from these. Query parameters arrive as text: `convert` turns them.
 */
import type { ValidationRuleObject } from "fastest-validator";
import { isEmailAddress, isPrintable } from "./text.ts";

type CheckErrors = { type: string; expected?: unknown; actual?: unknown }[];

/** How requests are validated everywhere: null is a value like any other, and messages say what is wanted. */
export const VALIDATOR = {
  useNewCustomCheckerFunction: true,
  considerNullAsAValue: true,
  messages: { enumValue: "The '{field}' field must be one of {expected}." },
};

/** The params that were sent: the validator leaves a key without a value for some that were not. */
export const omitUndefined = <Params extends object>(params: Params): Partial<Params> =>
  Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined)) as Partial<Params>;

/** An id, in lower case as Postgres writes it. */
export const id = {
  type: "uuid",
  custom: (value: unknown) => (typeof value === "string" ? value.toLowerCase() : value),
} satisfies ValidationRuleObject;
/**
 * An id behind another one in a path. Whether it can be one is judged by who looks it up, after what stands before it was
 * found: a 404 names the first part that is not there.
 */
export const nestedId = {
  type: "string",
  format: "uuid",
  custom: id.custom,
} satisfies ValidationRuleObject;
export const optionalId = { ...id, optional: true } satisfies ValidationRuleObject;
export const nullableId = { ...id, optional: true, nullable: true } satisfies ValidationRuleObject;

/**
 * What nobody sees: white space, controls, what Unicode says to pass over in display (zero-width spaces, joiners, marks
 * of direction, variation selectors, the Hangul fillers), and the empty Braille cell.
 */
const INVISIBLE = /^[\s\p{Cc}\p{Cf}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]*$/u;

/** Text as it is kept and compared (docs/reference.md, Text): in Unicode NFC, and empty where nobody sees anything of it. */
const kept = (value: string): string => (INVISIBLE.test(value) ? "" : value.normalize("NFC"));

/**
 * Text of `min` to `max` characters as people count them: code points, not UTF-16's halves of them.
 * (The rule's own `min` and `max` would count those, so the bounds have names of their own.)
 * @param asTyped true for a secret, which is what was typed and nothing else; other text is kept in NFC
 */
export const text = (minCharacters: number, maxCharacters: number, asTyped = false) =>
  ({
    type: "string",
    minCharacters,
    maxCharacters,
    messages: {
      characters: `The '{field}' field must have ${minCharacters} to ${maxCharacters} characters.`,
      unstorable: "The '{field}' field must be text without U+0000 and without halves of surrogate pairs.",
    },
    custom: (given: unknown, errors: CheckErrors) => {
      if (typeof given !== "string") return given;
      // NFC makes three code units of one at the most (UAX #15 §2.1.2): what is far too long is not worth the work.
      const value = asTyped || given.length > 8 * maxCharacters ? given : kept(given);
      // Nothing longer than that can be short enough, so nobody makes us split a megabyte.
      const count = value.length > 2 * maxCharacters ? Infinity : [...value].length;
      if (count < minCharacters || count > maxCharacters) errors.push({ type: "characters" });
      else if (given.includes("\0") || !given.isWellFormed()) errors.push({ type: "unstorable" });
      return value;
    },
  }) satisfies ValidationRuleObject;

/** A whole number as a query has it, in decimal digits; other services give a number. */
export const wholeNumber = (bounds: { min: number; max: number; default?: number; optional?: true }) =>
  ({
    type: "custom",
    ...bounds,
    integer: true,
    messages: { number: "The '{field}' field must be a whole number in decimal digits." },
    check: (value: unknown, errors: CheckErrors) => {
      const { min, max } = bounds;
      const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
      if (!Number.isInteger(number)) errors.push({ type: "number" });
      else if ((number as number) < min) errors.push({ type: "numberMin", expected: min });
      else if ((number as number) > max) errors.push({ type: "numberMax", expected: max });
      return number;
    },
  }) satisfies ValidationRuleObject;

/** `true` or `false` as a query has it. */
export const flag = {
  type: "custom",
  optional: true,
  boolean: true,
  messages: { boolean: "The '{field}' field must be true or false." },
  check: (value: unknown, errors: CheckErrors) => {
    const flags: Record<string, boolean> = { true: true, false: false };
    const known = typeof value === "string" && Object.hasOwn(flags, value) ? flags[value] : value;
    if (typeof known !== "boolean") errors.push({ type: "boolean" });
    return known;
  },
} satisfies ValidationRuleObject;

/** Text of one line that reads as it is stored: a name. */
export const line = (minCharacters: number, maxCharacters: number) => {
  const base = text(minCharacters, maxCharacters);
  return {
    ...base,
    oneLine: true,
    messages: {
      ...base.messages,
      unprintable:
        "The '{field}' field must have no control characters and none that turn the direction of text.",
    },
    custom: (value: unknown, errors: CheckErrors) => {
      const before = errors.length;
      const checked = base.custom(value, errors);
      if (errors.length === before && typeof checked === "string" && !isPrintable(checked))
        errors.push({ type: "unprintable" });
      return checked;
    },
  } satisfies ValidationRuleObject;
};

/** An e-mail address at a named host. */
export const email = {
  type: "string",
  // RFC 6531: letters of any script, before the @.
  format: "idn-email",
  trim: true,
  maxCharacters: 254,
  messages: { email: "The '{field}' field must be an e-mail address at a named host." },
  custom: (value: unknown, errors: CheckErrors) => {
    if (typeof value !== "string") return value;
    const composed = value.normalize("NFC");
    if (!isEmailAddress(composed)) errors.push({ type: "email" });
    return composed;
  },
} satisfies ValidationRuleObject;

const TIMESTAMP = /^(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/i;

/** An RFC 3339 timestamp in UTC with milliseconds; null when `text` is none (30 February is none). */
export function parseTimestamp(text: string): string | null {
  const [, year, month, day] = TIMESTAMP.exec(text) ?? [];
  const time = new Date(text.toUpperCase());
  if (day === undefined || Number.isNaN(time.getTime())) return null;
  if (Number(day) > new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()) return null;
  // Years that four digits write, and that Postgres knows: there is none between 1 BC and 1.
  if (time.getUTCFullYear() < 1 || time.getUTCFullYear() > 9999) return null;
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
      // An array comes from another service, or from a call that is tried again.
      const items: unknown[] =
        typeof value === "string" ? value.split(",") : Array.isArray(value) ? value : [];
      if (items.length === 0 || !items.every((item) => values.includes(item as string)))
        errors.push({ type: "commaList" });
      return [...new Set(items)];
    },
  }) satisfies ValidationRuleObject;
