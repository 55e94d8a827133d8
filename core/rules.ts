/**
 * Validator rules that several services share (fastest-validator). Patterns are strings: a RegExp does not survive
 * the broker. The OpenAPI document is made from these rules.
 */
import type { ValidationRuleObject } from "fastest-validator";
import { isEmailAddress, isPrintable } from "./text.ts";

type CheckErrors = { type: string; expected?: unknown; actual?: unknown }[];

/** The validator's options on every node: null is a value like any other, and messages say what is allowed. */
export const VALIDATOR = {
  useNewCustomCheckerFunction: true,
  considerNullAsAValue: true,
  messages: { enumValue: "The '{field}' field must be one of {expected}." },
};

/** The params that the caller sent: the validator adds a key without a value for some that the caller did not. */
export const omitUndefined = <Params extends object>(params: Params): Partial<Params> =>
  Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined)) as Partial<Params>;

/** An id, in lower case as Postgres writes it. */
export const id = {
  type: "uuid",
  custom: (value: unknown) => (typeof value === "string" ? value.toLowerCase() : value),
} satisfies ValidationRuleObject;
/**
 * An id that follows another one in a path. The action judges whether it is an id at all, after it found the part before:
 * a 404 names the first missing part.
 */
export const nestedId = {
  type: "string",
  format: "uuid",
  custom: id.custom,
} satisfies ValidationRuleObject;
export const optionalId = { ...id, optional: true } satisfies ValidationRuleObject;
export const nullableId = { ...id, optional: true, nullable: true } satisfies ValidationRuleObject;

/**
 * Invisible text: white space, controls, characters that Unicode says to ignore in display (zero-width spaces, joiners,
 * direction marks, variation selectors, the Hangul fillers), and the empty Braille cell.
 */
const INVISIBLE = /^[\s\p{Cc}\p{Cf}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]*$/u;

/** Text as it is stored and compared (docs/reference.md, Text): in Unicode NFC, and empty when all of it is invisible. */
const normalized = (value: string): string => (INVISIBLE.test(value) ? "" : value.normalize("NFC"));

/**
 * Text of a bounded number of characters as people count them: code points, not UTF-16 code units.
 * (The validator's own `min` and `max` count code units, so these bounds have other names.)
 * @param asTyped true for a secret, which stays exactly as typed; other text becomes NFC
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
      // NFC makes at most three code units of one (UAX #15 §2.1.2), so text that is far too long needs no NFC.
      const value = asTyped || given.length > 8 * maxCharacters ? given : normalized(given);
      // Longer text is too long in any case: no client makes the node split a megabyte.
      const count = value.length > 2 * maxCharacters ? Infinity : [...value].length;
      if (count < minCharacters || count > maxCharacters) errors.push({ type: "characters" });
      else if (given.includes("\0") || !given.isWellFormed()) errors.push({ type: "unstorable" });
      return value;
    },
  }) satisfies ValidationRuleObject;

/** A whole number in a body. The validator compares numbers alone: `"8"` is refused. */
export const integer = (min: number, max: number) =>
  ({ type: "number", integer: true, min, max }) satisfies ValidationRuleObject;

/** A whole number in a query, as decimal digits, or in a call from another service. In a body it would take `"8"` too. */
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

/** A place in a stream (core/events.ts, cursorOf): the number of the last event that the client has, and its id. */
export const cursor = {
  type: "string",
  // Sixteen digits hold each number that JavaScript can count to.
  pattern: "^\\d{1,16}(?:-[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})?$",
  example: "41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
  messages: { stringPattern: "A cursor is the number of an event, 41, or number and id, 41-<id>." },
} satisfies ValidationRuleObject;

/** `true` or `false`: text in a query, a boolean in a call from another service. */
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

/** One line of text that reads as it is stored, such as a name. */
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
  // Four digits hold years up to 9999, and Postgres has no year 0.
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
      // An array comes from another service, or from a retried call.
      const items: unknown[] =
        typeof value === "string" ? value.split(",") : Array.isArray(value) ? value : [];
      if (items.length === 0 || !items.every((item) => values.includes(item as string)))
        errors.push({ type: "commaList" });
      return [...new Set(items)];
    },
  }) satisfies ValidationRuleObject;
