/** JSON Schemas made of validator rules (core/rules.ts): the document describes what the server checks. */
import type { Schema } from "../../core/json-schema.ts";

/** A rule of fastest-validator, with annotations that it ignores: `description`, `example`, `admin`. */
export type Rule = Record<string, unknown> & { type: string };

/** Postgres cannot store U+0000. */
const TEXT = String.raw`^[^\u0000]*$`;

/** Characters that text of one line must not have (core/text.ts, isPrintable). */
const ONE_LINE = String.raw`\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069`;

/** Leaves out keywords without a value. */
const omitUndefined = (schema: Record<string, unknown>): Schema =>
  Object.fromEntries(Object.entries(schema).filter(([, value]) => value !== undefined));

/** Writes out the shorthands `"string"` and `[rule, rule]`. */
const expand = (rule: unknown): Rule =>
  typeof rule === "string"
    ? { type: rule }
    : Array.isArray(rule)
      ? { type: "multi", rules: rule }
      : (rule as Rule);

const listOf = (values: unknown): Schema => ({
  type: "array",
  items: { type: "string", enum: values },
  minItems: 1,
});

function stringSchema(rule: Rule): Schema {
  const { min, max, minCharacters = min, maxCharacters = max, trim, pattern, format } = rule;
  const isText = rule.maxCharacters !== undefined && format === undefined;
  // The server counts after it trims: `minLength` and `maxLength` would count the white space too.
  if (isText && trim === true) {
    const [least, most] = [Number(minCharacters), Number(maxCharacters)];
    return {
      type: "string",
      pattern: trimmed(least, most, rule.oneLine === true ? ONE_LINE : String.raw`\u0000`),
      description: `${least} to ${most} characters, without the white space around them${Number(minCharacters) > 0 ? "; at least one is visible" : ""}.`,
    };
  }
  return omitUndefined({
    type: "string",
    minLength: minCharacters,
    maxLength: maxCharacters,
    pattern: pattern ?? (isText ? TEXT : undefined),
    format,
  });
}

/** A pattern for text of `min` to `max` characters, with any white space around it. */
function trimmed(min: number, max: number, refused: string): string {
  const inner = String.raw`[^\s${refused}](?:[^${refused}]{0,${max - 2}}[^\s${refused}])?`;
  return String.raw`^\s*${min === 0 ? `(?:${inner})?` : inner}\s*$`;
}

function bareSchema(rule: Rule): Schema {
  const { type, min, max } = rule;
  switch (type) {
    case "string":
      // core/pagination.ts, sort
      return rule.terms === undefined ? stringSchema(rule) : { ...listOf(rule.terms), uniqueItems: true };
    case "uuid":
      return { type: "string", format: "uuid" };
    case "boolean":
      return { type: "boolean" };
    case "number":
      return omitUndefined({
        type: rule.integer === true ? "integer" : "number",
        minimum: min,
        maximum: max,
      });
    case "enum":
      return { type: "string", enum: rule.values };
    case "equal":
      return { const: rule.value };
    case "array":
      return omitUndefined({
        type: "array",
        // The rule's own check may choose among several sets of rules.
        items: Array.isArray(rule.oneOf)
          ? { oneOf: rule.oneOf.map(objectSchema) }
          : schemaOf(rule.items ?? "any"),
        minItems: min,
        maxItems: max,
        uniqueItems: rule.unique,
      });
    case "object":
      return objectSchema((rule.properties ?? rule.props ?? {}) as Record<string, unknown>);
    case "record":
      return {
        type: "object",
        propertyNames: schemaOf(rule.key),
        additionalProperties: schemaOf(rule.value),
      };
    case "multi":
      return { anyOf: (rule.rules as unknown[]).map(schemaOf) };
    case "custom":
      // core/rules.ts: wholeNumber, flag, commaList
      if (rule.integer === true) return omitUndefined({ type: "integer", minimum: min, maximum: max });
      if (rule.boolean === true) return { type: "boolean" };
      return listOf(rule.enum);
    case "any":
      return {};
    default:
      throw new Error(`no JSON Schema is known for the rule ${JSON.stringify(rule)}`);
  }
}

/** What the rule says of the param, then what its bounds mean. */
function descriptionOf(rule: Rule, schema: Schema): string | undefined {
  const parts = [rule.admin === true ? "Only admins may set this." : rule.description, schema.description];
  return parts.filter((part) => typeof part === "string").join(" ") || undefined;
}

export function schemaOf(given: unknown): Schema {
  const rule = expand(given);
  const schema = bareSchema(rule);
  const nullable = rule.nullable === true;
  const values = schema.enum as unknown[] | undefined;
  return omitUndefined({
    ...schema,
    ...(nullable && schema.type !== undefined && { type: [schema.type, "null"] }),
    ...(nullable && values && { enum: [...values, null] }),
    default: rule.default,
    description: descriptionOf(rule, schema),
    "x-admin": rule.admin,
    ...(rule.example !== undefined && { examples: [rule.example] }),
  });
}

/** Whether a request must have the param. */
export const isRequired = (given: unknown): boolean => {
  const { optional, default: fallback } = expand(given);
  return optional !== true && fallback === undefined;
};

/** An object with these fields and no others. */
export function objectSchema(fields: Record<string, unknown>): Schema {
  const rules = Object.entries(fields).filter(([name]) => !name.startsWith("$$"));
  const required = rules.filter(([, rule]) => isRequired(rule)).map(([name]) => name);
  return {
    type: "object",
    properties: Object.fromEntries(rules.map(([name, rule]) => [name, schemaOf(rule)])),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}
