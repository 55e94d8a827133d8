/**
 * JSON Schema 2020-12, the dialect of OpenAPI 3.1, for the results of actions. Each schema has an example; an object's
 * example is made of its properties' examples.
 */
import { type FieldError, type ProblemDocument, type Resource, RESOURCES } from "./errors.ts";
import { COUNTED_ROWS } from "./pagination.ts";

export interface Schema {
  readonly title?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly examples?: readonly unknown[];
  readonly [keyword: string]: unknown;
}

export const exampleOf = ({ examples: [example] = [] }: Schema): unknown => example;

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

/** The properties that every versioned resource has. */
export const versionFields = {
  version: integer(1, "Counts the changes; the `ETag` is made of it."),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
  updated_at: timestamp("2026-11-21T09:30:00.000Z"),
};

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
 * An object of exactly these properties. All are required except those that T makes optional, which `optional` names
 * again; a property that the usual response lacks has no example.
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

/** The changes of an event: an entry for each field that changed, and for no other. The first field gives the example. */
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

/** The result of a list (docs/reference.md, Lists). */
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
      limit: integer(20, "The maximum number of items on a page."),
      next_cursor: nullable(
        text(
          "eyJrIjpbIjAxOTNhIl19.c2ln",
          "Where the next page begins: send it as `cursor`. Null at the end.",
        ),
      ),
      offset: integer(0, "The number of skipped items; absent when the page was requested by cursor."),
      total: integer(
        1,
        `The total number of items, counted up to ${COUNTED_ROWS}; absent when the page was requested by cursor.`,
      ),
      total_capped: like(
        { type: "boolean", const: true },
        true,
        "Present when there are more items than `total`.",
      ),
    },
    ["offset", "total", "total_capped"],
  );

const fieldError = object<FieldError>("FieldError", {
  pointer: text(
    "#/title",
    "The invalid field: a JSON Pointer into the body, or `?name` for a query parameter.",
  ),
  code: text("required", "What is wrong, for programs."),
  message: text("The 'title' field is required.", "What is wrong, for people."),
});

const resource = object<Resource>("Resource", {
  type: like(
    { type: "string", enum: Object.keys(RESOURCES) },
    "task",
    "The kind of resource that is missing.",
  ),
  id: text(
    "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
    "The resource as the request named it: a project also by its slug, a member by the user's id.",
  ),
});

/** RFC 9457. */
export const problem = object<ProblemDocument>(
  "Problem",
  {
    type: like(
      { type: "string", format: "uri-reference", pattern: "^/problems/[a-z-]+$" },
      "/problems/not-found",
      "The kind of problem, for programs; the server has a page at this path that explains it.",
    ),
    title: text("Not found", "The kind of problem, for people."),
    status: like({ type: "integer", minimum: 400, maximum: 599 }, 404, "The HTTP status of the response."),
    detail: text(
      "There is no task 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
      "What went wrong in this request, for people.",
    ),
    instance: like(
      { type: "string", format: "uri-reference" },
      "/api/v1/tasks/0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
      "The path of the request.",
    ),
    request_id: text("0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75", "`X-Request-ID`: quote it to the operator."),
    resource: {
      ...resource,
      description:
        "On a 404, the missing resource; on a nested path, the first missing part. Absent when no resource has the path.",
    },
    errors: { type: "array", items: fieldError, description: "Each invalid field." },
    results: {
      type: "array",
      // The tasks service declares it, since it contains a problem itself.
      items: { $ref: "#/components/schemas/BulkResult" },
      description: "The outcome of each operation of a bulk request.",
    },
  },
  ["instance", "request_id", "resource", "errors", "results"],
);
