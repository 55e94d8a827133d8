/** The operations for operators in the OpenAPI document: what mixins/ops-pages.ts answers. */
import { SERVICES } from "../../core/config.ts";
import type { ProblemCode } from "../../core/errors.ts";
import { array, enumOf, integer, like, nullable, object, type Schema, text } from "../../core/json-schema.ts";
import type { DependencyState, HealthReport, Readiness } from "../../mixins/health.ts";
import { ALWAYS, type Components, headersOf, hoist, type Json } from "./openapi-components.ts";
import { problemResponses } from "./openapi-responses.ts";

export const OPS_TAG = { name: "operations", description: "Probes and metrics, for operators" };

/** The security scheme of METRICS_TOKEN. */
export const METRICS_SCHEME = {
  type: "http",
  scheme: "bearer",
  description: "`METRICS_TOKEN`, where the server has one.",
};

const live = object<{ status: string }>("Live", { status: like({ type: "string", const: "live" }, "live") });

const readiness = object<Readiness>("Readiness", {
  status: enumOf(
    ["ready", "starting", "stopping", "waiting"],
    "`waiting`: for what is `missing`. All but `ready` are 503.",
  ),
  missing: {
    ...array(text("database")),
    description: "Dependencies and services that are away.",
    examples: [[]],
  },
});

const dependency = object<DependencyState>("Dependency", {
  state: enumOf(["up", "down", "off"], "`off`: the node does without it."),
  latency_ms: nullable(
    like({ type: "number", minimum: 0 }, 0.42, "Milliseconds until it answered; null without an answer."),
  ),
});

const health = object<HealthReport>("Health", {
  status: enumOf(
    ["ok", "degraded", "down"],
    "`degraded`: the node serves, and Redis or a service is away. `down`: it is not ready, and the status is 503.",
  ),
  version: text("0.2.0", "The version of the server."),
  uptime: integer(3600, "Seconds since the process started."),
  database: dependency,
  redis: dependency,
  nats: dependency,
  services: like(
    { type: "object", additionalProperties: { type: "integer", minimum: 0 } },
    Object.fromEntries(SERVICES.map((name) => [name, 1])),
    "How many nodes run each service.",
  ),
});

interface OpsOperation {
  path: string;
  summary: string;
  description: string;
  /** Null for text. */
  answer: Schema | null;
  /** Whether the answer may be 503. */
  mayFail?: true;
  security?: Json[];
  problems?: ProblemCode[];
}

const OPERATIONS: readonly OpsOperation[] = [
  {
    path: "/live",
    summary: "Whether the process answers",
    description: "200 as long as the process lives, whatever it depends on.",
    answer: live,
  },
  {
    path: "/ready",
    summary: "Whether the node can serve",
    description: "200 while Postgres and NATS answer and each service that the gateway needs has a node.",
    answer: readiness,
    mayFail: true,
  },
  {
    path: "/health",
    summary: "The state of the node and of what it depends on",
    description: "Answers within a second, whatever hangs. An answer may be 250 ms old.",
    answer: health,
    mayFail: true,
  },
  {
    path: "/metrics",
    summary: "Metrics for Prometheus",
    description: "In production a gateway without `METRICS_TOKEN` has no metrics at its public port (404).",
    answer: null,
    security: [{}, { metrics: [] }],
    problems: ["unauthenticated", "invalid-token", "not-found", "rate-limited"],
  },
];

/** What Node's server refuses, and a fault. */
const ALWAYS_POSSIBLE: ProblemCode[] = [
  "malformed-request",
  "request-timeout",
  "headers-too-large",
  "internal-error",
];

const SAMPLE =
  "# HELP taskwire_ready 1 while /ready answers 200\n# TYPE taskwire_ready gauge\ntaskwire_ready 1\n";

/** The path items. They are at the root alone, without a version, and cost no budget. */
export function opsPaths(components: Components): Record<string, Json> {
  const item = ({
    path,
    summary,
    description,
    answer,
    mayFail,
    security = [],
    problems = [],
  }: OpsOperation) => {
    const content =
      answer === null
        ? { "text/plain": { schema: { type: "string" }, example: SAMPLE } }
        : {
            "application/json": { schema: hoist(answer, components.schemas), example: answer.examples?.[0] },
          };
    const response = (of: string): Json => ({ description: of, headers: headersOf(ALWAYS), content });
    return {
      get: {
        servers: [{ url: "/", description: "Without a version" }],
        operationId: path.slice(1),
        summary,
        description,
        tags: [OPS_TAG.name],
        security,
        parameters: [{ $ref: "#/components/parameters/X-Request-ID" }],
        responses: {
          200: response("OK"),
          ...problemResponses([...problems, ...ALWAYS_POSSIBLE], components),
          ...(mayFail === true && { 503: response("Not ready") }),
        },
      },
    };
  };
  return Object.fromEntries(OPERATIONS.map((operation) => [operation.path, item(operation)]));
}
