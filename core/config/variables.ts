/** The table of environment variables: name, form, default and description. The README's table is made from it. */
import { bool, makeValidator, port, str } from "envalid";
import {
  baseUrl,
  budget,
  dsn,
  emailAddress,
  host,
  issuer,
  mailbox,
  origins,
  password,
  ratio,
  redisUrl,
  seconds,
  secret,
  token,
  url,
  urls,
  whole,
} from "./validators.ts";

export const SERVICES = [
  "api-gateway",
  "auth",
  "users",
  "projects",
  "tasks",
  "notifier",
  "mailer",
  "jobs",
] as const;
export type ServiceName = (typeof SERVICES)[number];

/** Every reader of this file knows it: production refuses it. */
export const DEVELOPMENT_SECRET = "taskwire-development-secret-not-for-production";

const serviceList = makeValidator<ServiceName[]>((input) => {
  if (input === "all") return [...SERVICES];
  const names = input.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !SERVICES.includes(name as ServiceName));
  if (unknown !== undefined) throw new Error(`"${unknown}" is not one of ${SERVICES.join(", ")}`);
  return [...new Set(names)] as ServiceName[];
});

/** Every variable that the program reads, in the order of the README's table. */
export const VARIABLES = {
  NODE_ENV: str({
    choices: ["development", "test", "production"],
    default: "development",
    desc: "`production` refuses default secrets and needs `DATABASE_URL`",
  }),
  SERVICES: serviceList({
    default: [...SERVICES],
    example: "tasks,auth",
    desc: "services that this node runs, comma-separated; `all` for all of them",
  }),
  HOST: host({
    default: "127.0.0.1",
    desc: "address that the HTTP servers listen on; `0.0.0.0` in a container",
  }),
  PORT: port({ default: 3000, desc: "the gateway's port" }),
  OPS_PORT: whole(
    0,
    65_535,
  )({
    default: 0,
    desc: "port where this node serves `/live`, `/ready`, `/health` and Prometheus `/metrics`; 0: nowhere",
  }),
  METRICS_TOKEN: secret({
    default: "",
    desc: "**secret.** Bearer token that `/metrics` requires, ≥ 32 bytes; empty: none, and in production no `/metrics` at the gateway's own port",
  }),
  NOTIFIER_PORT: port({ default: 3001, desc: "the notifier's port on a node without the gateway" }),
  DRAIN_SECONDS: whole(
    0,
    300,
    "seconds",
  )({
    default: 5,
    devDefault: 0,
    desc: "seconds over which a stopping notifier closes its sockets, so that they do not all reconnect at once",
  }),
  DATABASE_URL: url(
    "postgres:",
    "postgresql:",
  )({ default: "", desc: "Postgres ≥ 15; empty: an embedded one below `DATA_DIR`" }),
  DATABASE_POOL: whole(1, 500)({ default: 10, desc: "maximum connections of a node to Postgres" }),
  DATABASE_TIMEOUT: whole(
    100,
    60_000,
    "milliseconds",
  )({ default: 1800, desc: "milliseconds after which a statement is cancelled (504)" }),
  DATA_DIR: str({ default: ".data", desc: "where the embedded Postgres keeps its data" }),
  NATS_URL: urls(
    "nats:",
    "tls:",
  )({
    default: "",
    desc: "the broker, or the nodes of its cluster, comma-separated; empty: all services in this one process",
  }),
  REDIS_URL: redisUrl({
    default: "",
    desc: "Redis, which connects notifiers and shares rate limits among gateways; `redis+sentinel://:password@host:26379,host:26379/name` asks Sentinels for it; empty: for one notifier and one gateway",
  }),
  NAMESPACE: token({ default: "taskwire", desc: "separates clusters that share brokers" }),
  NODE_ID: token({
    default: "",
    desc: "name of this node in the cluster; empty: made of host name and process id",
  }),
  JWT_SECRET: secret({
    default: "",
    devDefault: DEVELOPMENT_SECRET,
    desc: "**secret.** Signs access tokens, ≥ 32 bytes, `openssl rand -base64 48`; for nodes with the gateway, auth or a notifier",
  }),
  JWT_SECRET_PREVIOUS: secret({
    default: "",
    desc: "**secret.** The previous secret, still accepted during a rotation",
  }),
  JWT_ISSUER: issuer({ default: "taskwire", desc: "`iss` of access tokens" }),
  ACCESS_TOKEN_TTL: whole(
    30,
    86_400,
    "seconds",
  )({ default: 900, desc: "seconds that an access token lives" }),
  REFRESH_TOKEN_TTL: whole(
    60,
    31_536_000,
    "seconds, at most a year",
  )({ default: 2_592_000, desc: "seconds that an unused refresh token lives" }),
  BCRYPT_COST: whole(4, 15)({ default: 12, devDefault: 10, desc: "bcrypt cost, 10 to 15 outside tests" }),
  ADMIN_EMAIL: emailAddress({
    default: "",
    desc: "with `ADMIN_PASSWORD`: at start this account becomes the first admin, unless an active admin exists",
  }),
  ADMIN_PASSWORD: password({
    default: "",
    desc: "**secret.** The first admin's password, also for an existing account with `ADMIN_EMAIL`",
  }),
  RATE_LIMIT: str({
    choices: ["on", "off"],
    default: "on",
    desc: "`off` for load tests; production refuses `off`",
  }),
  RATE_LIMIT_DEFAULT: budget({
    default: { points: 300, duration: 60 },
    desc: "requests/seconds of a user, or of an address without a login",
  }),
  RATE_LIMIT_AUTH: budget({
    default: { points: 20, duration: 60 },
    desc: "the same for registration, login, refresh and password routes",
  }),
  RATE_LIMIT_LOGIN_FAILURES: budget({
    default: { points: 5, duration: 900 },
    desc: "failed logins/seconds of one address at one account, after which that address cannot log in to that account",
  }),
  TRUST_PROXY: whole(
    0,
    20,
  )({
    default: 0,
    desc: "number of your proxies in front of the gateway, each of which adds to `X-Forwarded-For`; 0: the gateway ignores the header",
  }),
  SOCKETS_PER_USER: whole(
    1,
    100_000,
  )({
    default: 100,
    desc: "maximum open sockets of one user at a notifier",
  }),
  CONNECTIONS_PER_ADDRESS: whole(
    0,
    1_000_000,
  )({
    default: 256,
    desc: "maximum connections of one address to the gateway; 0: no maximum. With `TRUST_PROXY` the proxies have to limit them",
  }),
  KEEP_ALIVE_SECONDS: seconds({
    default: 75,
    desc: "seconds that the gateway, and a notifier for its polling clients, keep an idle connection open; longer than a load balancer in front does (usually 60), else it may send a request into a connection that just closed",
  }),
  IPV6_PREFIX: whole(
    32,
    128,
    "bits",
  )({
    default: 56,
    desc: "bits of an IPv6 address that name one client, 32 to 128: providers give a customer a /56 or a /64, some a /48",
  }),
  REQUIRE_IF_MATCH: bool({
    default: false,
    desc: "whether PUT, PATCH and DELETE of a resource with an ETag require `If-Match` (428)",
  }),
  RETENTION_DAYS: whole(
    1,
    3650,
    "days",
  )({
    default: 30,
    desc: "days after which deleted resources are removed for good",
  }),
  EVENT_RETENTION_DAYS: whole(
    1,
    3650,
    "days",
  )({
    default: 30,
    desc: "days that the log keeps events; a client that was away for longer fetches the state",
  }),
  DUE_SOON_HOURS: whole(
    1,
    720,
    "hours",
  )({
    default: 24,
    desc: "hours before a task's due date when an event says that it is due soon",
  }),
  CORS_ORIGINS: origins({
    default: [],
    devDefault: ["*"],
    example: "https://app.example.com",
    desc: "web origins that may call the API, comma-separated; `*` for all",
  }),
  SMTP_URL: url(
    "smtp:",
    "smtps:",
  )({
    default: "",
    desc: "**secret.** The mail server, `smtp://user:password@host:587`; empty: mails are printed to the terminal, or dropped in production",
  }),
  MAIL_FROM: mailbox({ default: "Taskwire <taskwire@localhost>", desc: "sender of mails" }),
  APP_URL: baseUrl({
    default: "",
    desc: "base URL of the links in mails: this server, or an app that has `/verify-email` and `/reset-password`; empty: the address of this node",
  }),
  LOG_LEVEL: str({
    choices: ["fatal", "error", "warn", "info", "debug", "trace"],
    default: "info",
    devDefault: "warn",
    desc: "lowest level that is logged",
  }),
  LOG_JSON: str({
    choices: ["auto", "true", "false"],
    default: "auto",
    desc: "`true`: one JSON object per line (pino); `false`: text for people; `auto`: text on a terminal, JSON elsewhere",
  }),
  TRACE_URL: url(
    "http:",
    "https:",
  )({
    default: "",
    desc: "where spans are sent as Zipkin v2 JSON, such as `http://zipkin:9411/api/v2/spans`; empty: nowhere",
  }),
  TRACE_SAMPLE: ratio({
    default: 0.1,
    devDefault: 1,
    desc: "share of the requests whose spans are sent, 0 to 1; a `traceparent` decides for its own request",
  }),
  SENTRY_DSN: dsn({
    default: "",
    desc: "**secret.** Where internal errors are reported (Sentry or what speaks its protocol), without personal data; empty: nowhere",
  }),
};

/**
 * The secrets, each with the services that read it: a node that runs none of them does without (k8s/base/nodes).
 * Production refuses a node that lacks JWT_SECRET only where it is read (contradictions.ts).
 */
export const SECRET_READERS = {
  DATABASE_URL: SERVICES,
  NATS_URL: SERVICES,
  REDIS_URL: ["api-gateway", "users", "projects", "tasks", "notifier"],
  JWT_SECRET: ["api-gateway", "auth", "notifier"],
  JWT_SECRET_PREVIOUS: ["api-gateway", "auth", "notifier"],
  METRICS_TOKEN: SERVICES,
  ADMIN_PASSWORD: ["users"],
  SMTP_URL: ["mailer"],
  SENTRY_DSN: SERVICES,
} as const satisfies Record<string, readonly ServiceName[]>;

export const SECRETS = Object.keys(SECRET_READERS) as (keyof typeof SECRET_READERS)[];

type Variables = typeof VARIABLES;
export type Values = Readonly<{
  [Name in keyof Variables]: Variables[Name] extends { _parse(input: string): infer Value } ? Value : never;
}>;
