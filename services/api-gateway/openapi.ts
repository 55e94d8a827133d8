/**
 * The OpenAPI 3.1 document, made of what the server itself goes by: the routes, the actions' rules, and what the
 * actions say of themselves (`docs`). Pure; `npm run openapi` writes docs/openapi.json with it.
 */
import { type ProblemCode, PROBLEMS } from "../../core/errors.ts";
import type { ActionDocs, Auth } from "../../core/kit.ts";
import { exampleOf, problem, type Schema } from "../../core/json-schema.ts";
import { REFRESH_COOKIE } from "../auth/auth.contract.ts";
import { bulkAnswer } from "../tasks/bulk.answers.ts";
import { isRequired, objectSchema, schemaOf } from "./openapi-rules.ts";
import { problemExample } from "./problem-example.ts";
import { type Route, tagOf, TAGS } from "./routes.ts";

/** What there is to know of an action that a route leads to. */
export interface DocumentedAction {
  auth: Auth;
  safe: boolean;
  projectBound: boolean;
  /** Its rules (fastest-validator). */
  params: Record<string, unknown>;
  docs: ActionDocs | undefined;
}

/** One that has docs. */
type Documented = DocumentedAction & { docs: ActionDocs };

export interface OpenApiSource {
  routes: readonly Route[];
  actions: ReadonlyMap<string, DocumentedAction>;
  /** Markdown for those who know nothing of it yet. */
  guide: string;
}

type Json = Record<string, unknown>;

/** What is said once and referred to by name. */
interface Components {
  schemas: Json;
  responses: Json;
  parameters: Json;
  headers: Json;
  examples: Json;
  securitySchemes: Json;
}

const text = (description: string, example: string, more: Json = {}): Json => ({
  description,
  schema: { type: "string" },
  example,
  ...more,
});

/** helmet's; test/contract/conventions.test.ts holds the server to them. */
const SECURITY_HEADERS: Record<string, string> = {
  "Content-Security-Policy": "default-src 'self'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Origin-Agent-Cluster": "?1",
  "Referrer-Policy": "no-referrer",
  "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
  "X-Content-Type-Options": "nosniff",
  "X-DNS-Prefetch-Control": "off",
  "X-Download-Options": "noopen",
  "X-Frame-Options": "SAMEORIGIN",
  "X-Permitted-Cross-Domain-Policies": "none",
  "X-XSS-Protection": "0",
};

const RETRY_AFTER = text("Seconds to wait before the next attempt.", "1", {
  required: true,
  schema: { type: "string", pattern: "^\\d+$" },
});

const HEADERS: Json = {
  "X-Request-ID": text(
    "The id of the request: the client's own if it is valid, else a new one.",
    "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
    { required: true, schema: { type: "string", pattern: "^[A-Za-z0-9._-]{1,128}$" } },
  ),
  "X-Process-Time": text("Milliseconds that the server took.", "12.34ms", {
    required: true,
    schema: { type: "string", pattern: "^\\d+\\.\\d\\dms$" },
  }),
  "Cache-Control": text("Whether the response may be cached.", "no-store"),
  "RateLimit-Policy": text(
    "The budgets that the request counted against: `q` requests in `w` seconds.",
    '"default";q=300;w=60',
  ),
  RateLimit: text(
    "What is left of each budget: `r` requests, until it starts again in `t` seconds.",
    '"default";r=299;t=60',
  ),
  "Retry-After": RETRY_AFTER,
  "WWW-Authenticate": text("How to authenticate (RFC 6750).", 'Bearer realm="taskwire"', { required: true }),
  Location: text("The path of the new resource.", "/api/v1/tasks/0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d", {
    required: true,
    schema: { type: "string", format: "uri-reference" },
  }),
  ETag: text(
    "The version of the resource, for `If-Match` and `If-None-Match`. In the response to a read, a digest of the whole body follows the version.",
    '"1"',
  ),
  Link: text(
    'The next page, `rel="next"` (RFC 8288). The last page has none, nor has a page whose link would be too long.',
    '</api/v1/tasks?limit=20&cursor=eyJ>; rel="next"',
  ),
  "Idempotency-Replayed": text("`true`: this is the response to the first request with this key.", "true", {
    schema: { type: "string", const: "true" },
  }),
  "Set-Cookie": text(
    "In cookie mode: the refresh token, which scripts cannot read.",
    `${REFRESH_COOKIE}=…; Max-Age=2592000; Path=/auth; HttpOnly; Secure; SameSite=Strict`,
  ),
  ...Object.fromEntries(
    Object.entries(SECURITY_HEADERS).map(([name, value]) => [
      name,
      text("A security header for browsers (helmet).", value),
    ]),
  ),
};

/** Without examples: Swagger UI would send them unasked. */
const PARAMETERS: Json = {
  "X-Request-ID": {
    name: "X-Request-ID",
    in: "header",
    description: "Your own id for the request; the response and the server's log repeat it.",
    schema: { type: "string" },
  },
  traceparent: {
    name: "traceparent",
    in: "header",
    description: "The trace that the request belongs to (W3C Trace Context). The services pass it on.",
    schema: { type: "string" },
  },
  "If-Match": {
    name: "If-Match",
    in: "header",
    description:
      "The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412.",
    schema: { type: "string" },
  },
  "If-None-Match": {
    name: "If-None-Match",
    in: "header",
    description:
      "The `ETag` of the representation that you have. The response is 304 if it is still current.",
    schema: { type: "string" },
  },
  "Idempotency-Key": {
    name: "Idempotency-Key",
    in: "header",
    description:
      "A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours.",
    schema: { type: "string", minLength: 1, maxLength: 255, pattern: "^[\\x20-\\x7e]+$" },
  },
  [REFRESH_COOKIE]: {
    name: REFRESH_COOKIE,
    in: "cookie",
    description: "The refresh token in cookie mode, in place of `refresh_token` in the body.",
    schema: { type: "string" },
  },
};

const ALWAYS = ["X-Request-ID", "X-Process-Time", "Cache-Control", ...Object.keys(SECURITY_HEADERS)];
const COUNTED = [...ALWAYS, "RateLimit-Policy", "RateLimit"];

/** Headers of a problem, beside those of any answer. */
const PROBLEM_HEADERS: Record<number, readonly string[]> = {
  401: ["WWW-Authenticate"],
  429: ["Retry-After"],
  503: ["Retry-After"],
  504: ["Retry-After"],
};

const isRead = ({ method }: Route): boolean => method === "GET";
/** What is only being created has no version to match. */
const takesIfMatch = (route: Route): boolean =>
  route.versioned === true && !isRead(route) && route.location === undefined;
const pathParams = ({ path }: Route): string[] =>
  [...path.matchAll(/:(\w+)/g)].map(([, name]) => name as string);

/** Every problem that a request to this route may be answered by. */
function problemsOf(route: Route, { auth, safe, projectBound, docs }: Documented): ProblemCode[] {
  const open = auth === "public";
  const codes: [boolean, ...ProblemCode[]][] = [
    [true, "malformed-request", "request-timeout", "expectation-failed", "headers-too-large"],
    [route.status !== 204, "not-acceptable"],
    [!open, "unauthenticated", "invalid-token"],
    // A personal token is no session; one of scope `read` may not write, and one may be limited to some projects.
    [!open && (auth !== "user" || !safe || !projectBound), "forbidden"],
    [pathParams(route).length > 0, "not-found"],
    [!isRead(route), "payload-too-large", "unsupported-media-type"],
    [true, "validation-failed", "rate-limited"],
    [takesIfMatch(route), "precondition-failed"],
    [takesIfMatch(route) && route.method !== "POST", "precondition-required"],
    [route.idempotent === true, "idempotency-key-in-flight", "idempotency-key-reused"],
    [true, ...(docs.problems ?? [])],
    [true, "internal-error", "service-unavailable", "database-unavailable", "overloaded", "timeout"],
  ];
  return [...new Set(codes.flatMap(([applies, ...named]) => (applies ? named : [])))];
}

/** `tasks.create_comment` to `tasksCreateComment` */
const operationId = (action: string): string =>
  action.replace(/[._](\w)/g, (_, letter: string) => letter.toUpperCase());
const capitalised = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);
const pascal = (code: string): string => code.split("-").map(capitalised).join("");
const headersOf = (names: readonly string[]): Json =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));

/** The same value with each schema that has a title moved to `schemas`, and referred to there. */
function hoist(value: unknown, schemas: Json): unknown {
  if (Array.isArray(value)) return value.map((item) => hoist(item, schemas));
  if (typeof value !== "object" || value === null) return value;
  const moved = Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, key === "examples" ? inner : hoist(inner, schemas)]),
  );
  const { title } = moved;
  if (typeof title !== "string") return moved;
  const known = schemas[title] as Json | undefined;
  // The example may be another one in each place.
  const bare = (schema: Json) => JSON.stringify({ ...schema, examples: undefined });
  if (known !== undefined && bare(known) !== bare(moved)) throw new Error(`two schemas are called ${title}`);
  schemas[title] ??= moved;
  return { $ref: `#/components/schemas/${title}` };
}

/** The responses of one status, as a component: many operations share it. */
function problemResponse(status: number, codes: readonly ProblemCode[], components: Components): Json {
  const name = codes.map(pascal).join("Or");
  for (const code of codes) {
    const { title: summary, explain: description } = PROBLEMS[code];
    components.examples[code] ??= { summary, description, value: problemExample(code) };
  }
  components.responses[name] ??= {
    description: codes.map((code) => `[${PROBLEMS[code].title}](/problems/${code})`).join(" · "),
    headers: {
      ...headersOf([...COUNTED, ...(PROBLEM_HEADERS[status] ?? [])]),
      // Of several problems of this status the one that has it.
      ...(codes.includes("idempotency-key-in-flight") && {
        "Retry-After": { ...RETRY_AFTER, required: false },
      }),
    },
    content: {
      "application/problem+json": {
        schema: hoist(problem, components.schemas),
        examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
      },
    },
  };
  return { $ref: `#/components/responses/${name}` };
}

function responsesOf(route: Route, action: Documented, components: Components): Json {
  const { versioned = false, idempotent = false, list = false, location } = route;
  const { answer } = action.docs;
  const special: [boolean, string][] = [
    [location !== undefined, "Location"],
    [versioned && route.status !== 204, "ETag"],
    [list, "Link"],
    [idempotent, "Idempotency-Replayed"],
    [route.setsRefreshCookie === true, "Set-Cookie"],
  ];
  const names = special.flatMap(([applies, name]) => (applies ? [name] : []));
  const responses: Json = {
    [route.status]: {
      description: DONE[route.status],
      headers: headersOf([...COUNTED, ...names]),
      ...(answer !== null && {
        content: {
          "application/json": { schema: hoist(answer, components.schemas), example: exampleOf(answer) },
        },
      }),
    },
  };
  if (versioned && isRead(route))
    responses[304] = {
      description: "Not modified: your representation is current",
      headers: headersOf([...COUNTED, "ETag"]),
    };
  const byStatus = Object.entries(
    Object.groupBy(problemsOf(route, action), (code) => String(PROBLEMS[code].status)),
  );
  for (const [status, codes = []] of byStatus)
    responses[status] = problemResponse(Number(status), codes, components);
  return responses;
}

const DONE = {
  200: "OK",
  201: "Created",
  202: "Accepted, no content",
  204: "No content",
};

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
 * An example for each field that has one: its rule's own, or that of the answer's field of the same name. Fit to be sent as
 * it is: no ids of things that only this document knows, unless there has to be one, and nothing that is for admins.
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
  // The cookie may stand for it (request.ts).
  if (route.readsRefreshCookie === true)
    fields.refresh_token = { ...(fields.refresh_token as Json), optional: true };
  const headers: [boolean, string][] = [
    [true, "X-Request-ID"],
    [true, "traceparent"],
    [route.versioned === true && isRead(route), "If-None-Match"],
    [takesIfMatch(route), "If-Match"],
    [route.idempotent === true, "Idempotency-Key"],
    [route.readsRefreshCookie === true, REFRESH_COOKIE],
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

/** What stands before the guide's first heading, and where to read on: operations are what readers of the document come for. */
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
    },
    parameters: PARAMETERS,
    headers: HEADERS,
    schemas: {},
    responses: {},
    examples: {},
  };
  // A problem refers to it, whichever routes there are.
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
    tags: TAGS,
    security: [{ bearer: [] }],
    paths,
    components,
  };
}
