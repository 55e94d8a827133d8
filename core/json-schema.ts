/**
 * JSON Schema 2020-12, which is OpenAPI 3.1's: what the answers of actions look like. Each schema brings an example;
 * an object's is made of its properties'.
 */
import { type FieldError, type ProblemDocument, type Resource, RESOURCES } from "./errors.ts";
import { COUNTED } from "./pagination.ts";

export interface Schema {
  readonly title?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly examples?: readonly unknown[];
  readonly [keyword: string]: unknown;
}

export const exampleOf = ({ examples: [example] = [] }: Schema): unknown => example;

/** The same schema with another example, and where it helps with a word on what it means. */
export const like = (schema: Schema, example: unknown, description?: string): Schema => ({
  ...schema,
  ...(description !== undefined && { description }),
  examples: [example],
});

export const text = (example: string, description?: string): Schema =>
  like({ type: "string" }, example, description);
export const integer = (example: number, description?: string): Schema =>
  like({ type: "integer", minimum: 0 }, example, description);
export const boolean = (example: boolean, description?: string): Schema =>
  like({ type: "boolean" }, example, description);
export const uuid = (example: string, description?: string): Schema =>
  like({ type: "string", format: "uuid" }, example, description);

/** In UTC, with milliseconds. */
export const timestamp = (example: string, description?: string): Schema =>
  like({ type: "string", format: "date-time", pattern: "Z$" }, example, description);

/** One of `values`; the first is the example. */
export const enumOf = (values: readonly string[], description?: string): Schema =>
  like({ type: "string", enum: values }, values[0], description);

export const array = (items: Schema): Schema => like({ type: "array", items }, [exampleOf(items)]);

/** `schema`, or null; the example is `schema`'s. A schema with a title stays itself, to be referred to by it. */
export const nullable = (schema: Schema): Schema => {
  if (Array.isArray(schema.type)) return schema;
  if (schema.title !== undefined) return { anyOf: [schema, { type: "null" }], examples: schema.examples };
  const values = schema.enum as readonly string[] | undefined;
  return { ...schema, type: [schema.type, "null"], ...(values && { enum: [...values, null] }) };
};

/**
 * An object of exactly these properties, all of them there but for those that T makes optional (named again in
 * `optional`, and without an example where the usual answer does not have them).
 */
export const object = <T extends object>(
  title: string,
  properties: { readonly [K in keyof Required<T>]: Schema },
  optional: readonly OptionalKey<T>[] = [],
): Schema => {
  const named = Object.entries<Schema>(properties);
  return {
    title,
    type: "object",
    properties,
    required: named.map(([name]) => name).filter((name) => !(optional as readonly string[]).includes(name)),
    additionalProperties: false,
    examples: [
      Object.fromEntries(
        named.flatMap(([name, { examples }]) => (examples ? [[name, examples[0]] as const] : [])),
      ),
    ],
  };
};

type OptionalKey<T> = { [K in keyof T & string]-?: object extends Pick<T, K> ? K : never }[keyof T & string];

/** The changes that an event tells: of each field that changed, and of no other. The first field makes the example. */
export const changes = (title: string, fields: Readonly<Record<string, Schema>>): Schema => {
  const change = ({ description: _description, examples: _examples, ...field }: Schema): Schema => {
    const value = nullable(field);
    return {
      type: "object",
      properties: { old: value, new: value },
      required: ["old", "new"],
      additionalProperties: false,
    };
  };
  const named = Object.entries(fields);
  const example = named.slice(0, 1).map(([name, field]) => [name, { old: null, new: exampleOf(field) }]);
  return {
    title,
    type: "object",
    properties: Object.fromEntries(named.map(([name, field]) => [name, change(field)])),
    additionalProperties: false,
    examples: [Object.fromEntries(example)],
  };
};

/** A list's answer (docs/reference.md, Lists). */
export const page = (item: Schema): Schema =>
  object<{
    items: unknown;
    limit: unknown;
    next_cursor: unknown;
    offset?: unknown;
    total?: unknown;
    total_capped?: unknown;
  }>(
    `${item.title}Page`,
    {
      items: array(item),
      limit: integer(20, "How many items a page has at the most."),
      next_cursor: nullable(
        text(
          "eyJrIjpbIjAxOTNhIl19.c2ln",
          "Where the next page begins: send it as `cursor`. Null at the end.",
        ),
      ),
      offset: integer(0, "How many items were skipped; there unless the page was asked for by cursor."),
      total: integer(
        1,
        `How many items there are in all, counted up to ${COUNTED}; there unless the page was asked for by cursor.`,
      ),
      total_capped: like({ type: "boolean", const: true }, true, "There where there are more than `total`."),
    },
    ["offset", "total", "total_capped"],
  );

const fieldError = object<FieldError>("FieldError", {
  pointer: text(
    "#/title",
    "Where it is wrong: a JSON Pointer into the body, or `?name` for a parameter of the query.",
  ),
  code: text("required", "What is wrong with it, for programs."),
  message: text("The 'title' field is required.", "The same for people."),
});

const resource = object<Resource>("Resource", {
  type: like({ type: "string", enum: Object.keys(RESOURCES) }, "task", "The kind of thing that is missing."),
  id: text(
    "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
    "As the request named it: for a project it may be a slug, for a member it is the user's id.",
  ),
});

/** RFC 9457. */
export const problem = object<ProblemDocument>(
  "Problem",
  {
    type: like(
      { type: "string", format: "uri-reference", pattern: "^/problems/[a-z-]+$" },
      "/problems/not-found",
      "What went wrong, for programs; the server has a page there that explains it.",
    ),
    title: text("Not found", "The same for people."),
    status: like({ type: "integer", minimum: 400, maximum: 599 }, 404, "The status of the answer."),
    detail: text(
      "There is no task 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
      "What went wrong this time, for people.",
    ),
    instance: like(
      { type: "string", format: "uri-reference" },
      "/api/v1/tasks/0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
      "The path that was asked for.",
    ),
    request_id: text("0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75", "`X-Request-ID`: quote it to the operator."),
    resource: {
      ...resource,
      description:
        "Of a 404 what is missing; of a nested path the first part that is not there. Absent where no resource has the path.",
    },
    errors: { type: "array", items: fieldError, description: "Each field that is wrong." },
    results: {
      type: "array",
      // The tasks service's, which holds a problem itself.
      items: { $ref: "#/components/schemas/BulkResult" },
      description: "How each operation of a bulk request ended.",
    },
  },
  ["instance", "request_id", "resource", "errors", "results"],
);
