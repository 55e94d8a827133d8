/**
 * The OpenAPI 3.1 document. It is made of the routes, and of the rules and the `docs` of their actions, which the server
 * itself runs by. `npm run openapi` writes it to docs/openapi.json.
 */
import type { Schema } from "../../core/json-schema.ts";
import { REFRESH_COOKIE } from "../auth/auth.contract.ts";
import { bulkAnswer } from "../tasks/bulk.answers.ts";
import { type Components, HEADERS, hoist, type Json, PARAMETERS } from "./openapi-components.ts";
import {
  capitalised,
  type Documented,
  type DocumentedAction,
  isRead,
  operationId,
  pathParams,
  takesIfMatch,
} from "./openapi-operations.ts";
import { METRICS_SCHEME, OPS_TAG, opsPaths } from "./openapi-ops.ts";
import { responsesOf } from "./openapi-responses.ts";
import { isRequired, objectSchema, schemaOf } from "./openapi-rules.ts";
import { type Route, tagOf, TAGS } from "./routes.ts";

export interface OpenApiSource {
  routes: readonly Route[];
  actions: ReadonlyMap<string, DocumentedAction>;
  /** docs/rest.md: its introduction is the description of the API. */
  guide: string;
}

function parameter(name: string, where: "path" | "query", rule: unknown): Json {
  const { description, ...schema } = schemaOf(rule);
  return {
    name,
    in: where,
    ...(description !== undefined && { description }),
    ...((where === "path" || isRequired(rule)) && { required: true }),
    ...(schema.type === "array" && { style: "form", explode: false }),
    schema,
  };
}

/**
 * An example of a body that the server accepts as it is. Each field has the example of its rule, or of the response's field
 * of the same name. Optional ids are left out, since they would name nothing, and so are fields that only admins may set.
 */
function bodyExample(body: Schema, answer: Schema | null): Json {
  const needed = (body.required ?? []) as string[];
  const entries = Object.entries(body.properties ?? {}).flatMap(([name, schema]): [string, unknown][] => {
    if (schema.format === "uuid" && !needed.includes(name)) return [];
    if (schema["x-admin"] === true) return [];
    const candidates = [schema.examples, answer?.properties?.[name]?.examples, schema.enum as unknown[]];
    const found = candidates.find((examples) => examples !== undefined);
    return found === undefined ? [] : [[name, found[0]]];
  });
  return Object.fromEntries(entries);
}

function requestBody(route: Route, fields: Json, { docs }: Documented, components: Components): Json {
  const body = objectSchema(fields);
  const example = bodyExample(body, docs.answer);
  const title = `${capitalised(operationId(route.action))}Body`;
  return {
    required: body.required !== undefined,
    content: {
      "application/json": {
        schema: hoist({ title, ...body, examples: [example] }, components.schemas),
        example,
      },
    },
  };
}

function operation(route: Route, action: Documented, components: Components): Json {
  const { auth, docs } = action;
  const inPath = pathParams(route);
  const rules = Object.entries(action.params).filter(([name]) => !name.startsWith("$$"));
  const fields = Object.fromEntries(rules.filter(([name]) => !inPath.includes(name)));
  // The cookie may replace it.
  if (route.readsRefreshCookie === true)
    fields.refresh_token = { ...(fields.refresh_token as Json), optional: true };
  const headers: [boolean, string][] = [
    [true, "X-Request-ID"],
    [true, "traceparent"],
    [route.versioned === true && isRead(route), "If-None-Match"],
    [takesIfMatch(route), "If-Match"],
    [route.idempotent === true, "Idempotency-Key"],
    [route.readsRefreshCookie === true, REFRESH_COOKIE],
    [route.follow !== undefined, "Last-Event-ID"],
  ];
  const parameters = [
    ...inPath.map((name) => parameter(name, "path", action.params[name])),
    ...(isRead(route) ? Object.entries(fields).map(([name, rule]) => parameter(name, "query", rule)) : []),
    ...headers.flatMap(([applies, name]) => (applies ? [{ $ref: `#/components/parameters/${name}` }] : [])),
  ];
  const description = [
    docs.description,
    route.keyless !== undefined && `This operation refuses \`Idempotency-Key\` (400): ${route.keyless}.`,
    route.status === 202 && "The response has no body.",
  ].filter((part) => typeof part === "string");
  return {
    operationId: operationId(route.action),
    summary: docs.summary,
    ...(description.length > 0 && { description: description.join(" ") }),
    tags: [tagOf(route)],
    security: auth === "public" ? [] : [{ bearer: [] }],
    parameters,
    ...(!isRead(route) &&
      Object.keys(fields).length > 0 && { requestBody: requestBody(route, fields, action, components) }),
    responses: responsesOf(route, action, components),
  };
}

/** The guide up to its first heading, and links to the rest: readers of the document look for operations. */
const intro = (guide: string): string =>
  `${(guide.split(/^## /m)[0] as string).trim()}

Every \`GET\` supports \`HEAD\` too, which returns only the headers (RFC 9110 §9.3.2).

[The guide](/guide) starts with an account and a token, and explains pagination, retries, rate limits and events. [Problems](/problems) explains every error.
`;

/** @throws Error for a route to an action without `docs` */
export function openApi({ routes, actions, guide }: OpenApiSource): Json {
  const components: Components = {
    securitySchemes: {
      bearer: {
        type: "http",
        scheme: "bearer",
        bearerFormat: "JWT",
        description: "The `access_token` of a login, or a personal access token (`twp_…`).",
      },
      metrics: METRICS_SCHEME,
    },
    parameters: PARAMETERS,
    headers: HEADERS,
    schemas: {},
    responses: {},
    examples: {},
  };
  // The schema of a problem refers to it by name.
  hoist(bulkAnswer, components.schemas);
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const action = actions.get(route.action);
    if (action?.docs === undefined) throw new Error(`${route.action} has a route, and no docs`);
    const item = (paths[route.path.replace(/:(\w+)/g, "{$1}")] ??= {});
    item[route.method.toLowerCase()] = operation(route, { ...action, docs: action.docs }, components);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Taskwire",
      version: "1.0.0",
      description: intro(guide),
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [
      { url: "/api/v1", description: "Version 1" },
      { url: "/", description: "The current version" },
    ],
    tags: [...TAGS, OPS_TAG],
    security: [{ bearer: [] }],
    paths: { ...paths, ...opsPaths(components) },
    components,
  };
}
