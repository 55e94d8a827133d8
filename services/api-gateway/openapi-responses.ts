/** The responses of an operation in the OpenAPI document: its success, and each problem that it can meet. */
import { type ProblemCode, PROBLEMS } from "../../core/errors.ts";
import { exampleOf, problem } from "../../core/json-schema.ts";
import {
  type Components,
  COUNTED,
  headersOf,
  hoist,
  type Json,
  PROBLEM_HEADERS,
  RETRY_AFTER,
} from "./openapi-components.ts";
import { capitalised, type Documented, isRead, problemsOf } from "./openapi-operations.ts";
import { NDJSON } from "./parts.ts";
import { EVENT_STREAM } from "./event-stream.ts";
import { problemExample } from "./problem-example.ts";
import type { Route } from "./routes.ts";

const FRAME =
  'id: 41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76\nevent: task_created\ndata: {"id":"0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76","seq":41}\n\n';

const DESCRIPTIONS = { 200: "OK", 201: "Created", 202: "Accepted, no content", 204: "No content" };

/** `not-found` to `NotFound` */
const pascal = (code: string): string => code.split("-").map(capitalised).join("");

/** The problems of one status as one response, which operations share. */
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
      // Only one of the problems of this status has it.
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

/** A response for each status that these problems have. */
export function problemResponses(codes: readonly ProblemCode[], components: Components): Json {
  const byStatus = Object.entries(Object.groupBy(codes, (code) => String(PROBLEMS[code].status)));
  return Object.fromEntries(
    byStatus.map(([status, same = []]) => [status, problemResponse(Number(status), same, components)]),
  );
}

export function responsesOf(route: Route, action: Documented, components: Components): Json {
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
      description: DESCRIPTIONS[route.status],
      headers: headersOf([...COUNTED, ...names]),
      ...(route.follow !== undefined && {
        content: { [EVENT_STREAM]: { schema: { type: "string" }, example: FRAME } },
      }),
      ...(answer !== null && {
        content: {
          [route.rest === undefined ? "application/json" : NDJSON]: {
            schema: hoist(answer, components.schemas),
            example: exampleOf(answer),
          },
        },
      }),
    },
  };
  if (versioned && isRead(route))
    responses[304] = {
      description: "Not modified: your representation is current",
      headers: headersOf([...COUNTED, "ETag"]),
    };
  return { ...responses, ...problemResponses(problemsOf(route, action), components) };
}
