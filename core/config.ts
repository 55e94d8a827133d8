import { readFileSync } from "node:fs";
import { bool, cleanEnv, makeValidator, port, str } from "envalid";

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

/** Known to everybody who reads this file, and so refused in production. */
const DEVELOPMENT_SECRET = "taskwire-development-secret-not-for-production";

const serviceList = makeValidator<ServiceName[]>((input) => {
  if (input === "all") return [...SERVICES];
  const names = input.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !SERVICES.includes(name as ServiceName));
  if (unknown !== undefined) throw new Error(`"${unknown}" is none of ${SERVICES.join(", ")}`);
  return [...new Set(names)] as ServiceName[];
});

const list = makeValidator<string[]>((input) =>
  input
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== ""),
);

const secret = makeValidator<string>((input) => {
  if (Buffer.byteLength(input) < 32) throw new Error("needs at least 32 bytes");
  return input;
});

const url = (...protocols: string[]) =>
  makeValidator<string>((input) => {
    if (!URL.canParse(input) || !protocols.includes(new URL(input).protocol))
      throw new Error(`needs a URL that begins with ${protocols.map((name) => `${name}//`).join(" or ")}`);
    return input;
  });

const positive = makeValidator<number>((input) => {
  const value = Number(input);
  if (!Number.isInteger(value) || value < 1) throw new Error(`"${input}" is no whole number above 0`);
  return value;
});

const natural = makeValidator<number>((input) => {
  const value = Number(input);
  if (!Number.isInteger(value) || value < 0) throw new Error(`"${input}" is no whole number from 0`);
  return value;
});

const seconds = makeValidator<number>((input) => {
  const value = Number(input);
  if (!Number.isInteger(value) || value < 1 || value > 3600)
    throw new Error(`"${input}" is no whole number from 1 to 3600`);
  return value;
});

/** `count/seconds`, at most a day. */
const budget = makeValidator<{ points: number; duration: number }>((input) => {
  const [, points, duration] = (/^([1-9]\d{0,8})\/([1-9]\d{0,4})$/.exec(input) ?? []).map(Number);
  if (points === undefined || duration === undefined || duration > 86_400)
    throw new Error(`"${input}" is not count/seconds, such as 300/60, with a day at the most`);
  return { points, duration };
});

const emailAddress = makeValidator<string>((input) => {
  if (input.length > 254 || !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(input))
    throw new Error("needs an e-mail address");
  return input;
});

const password = makeValidator<string>((input) => {
  const { length } = [...input];
  if (length < 8 || length > 128) throw new Error("needs 8 to 128 characters");
  return input;
});

const optionalPort = makeValidator<number>((input) => {
  const value = Number(input);
  if (!Number.isInteger(value) || value < 0 || value > 65_535) throw new Error(`"${input}" is no port`);
  return value;
});

const cost = makeValidator<number>((input) => {
  const value = Number(input);
  if (!Number.isInteger(value) || value < 4 || value > 15)
    throw new Error("needs a whole number from 4 to 15");
  return value;
});

/** Every variable that the program reads, in the order of the README's table, which is made from this. */
const VARIABLES = {
  NODE_ENV: str({
    choices: ["development", "test", "production"],
    default: "development",
    desc: "`production` refuses default secrets and needs `DATABASE_URL`",
  }),
  SERVICES: serviceList({
    default: [...SERVICES],
    example: "tasks,auth",
    desc: "what this node runs, comma-separated; `all` for everything",
  }),
  HOST: str({
    default: "127.0.0.1",
    desc: "address that the HTTP servers listen on; `0.0.0.0` in a container",
  }),
  PORT: port({ default: 3000, desc: "the gateway's port" }),
  OPS_PORT: optionalPort({ default: 0, desc: "where this node serves Prometheus `/metrics`; 0: nowhere" }),
  NOTIFIER_PORT: port({ default: 3001, desc: "the notifier's port on a node without the gateway" }),
  DRAIN_SECONDS: natural({
    default: 5,
    devDefault: 0,
    desc: "seconds over which a notifier that stops lets go of its sockets, so that they do not all come back at once",
  }),
  DATABASE_URL: url(
    "postgres:",
    "postgresql:",
  )({ default: "", desc: "Postgres ≥ 15; empty: an embedded one below `DATA_DIR`" }),
  DATABASE_POOL: positive({ default: 10, desc: "connections to Postgres that a node holds at the most" }),
  DATABASE_TIMEOUT: positive({
    default: 1800,
    desc: "milliseconds after which a statement is given up (504)",
  }),
  DATA_DIR: str({ default: ".data", desc: "where the embedded Postgres keeps its data" }),
  NATS_URL: url(
    "nats:",
    "tls:",
  )({ default: "", desc: "the broker; empty: all services in this one process" }),
  REDIS_URL: url(
    "redis:",
    "rediss:",
  )({ default: "", desc: "links notifiers and the rate limits of gateways; empty: one of each alone" }),
  NAMESPACE: str({ default: "taskwire", desc: "separates clusters that share brokers" }),
  NODE_ID: str({ default: "", desc: "name of this node in the cluster; empty: host name and process id" }),
  JWT_SECRET: secret({
    default: "",
    devDefault: DEVELOPMENT_SECRET,
    desc: "**secret.** Signs access tokens, ≥ 32 bytes; `openssl rand -base64 48`",
  }),
  JWT_SECRET_PREVIOUS: secret({
    default: "",
    desc: "**secret.** The last one, still accepted while it is being rotated out",
  }),
  JWT_ISSUER: str({ default: "taskwire", desc: "`iss` of access tokens" }),
  ACCESS_TOKEN_TTL: positive({ default: 900, desc: "seconds that an access token lives" }),
  REFRESH_TOKEN_TTL: positive({ default: 2_592_000, desc: "seconds that an unused refresh token lives" }),
  BCRYPT_COST: cost({ default: 12, devDefault: 10, desc: "bcrypt cost, 10 to 15 outside tests" }),
  ADMIN_EMAIL: emailAddress({
    default: "",
    desc: "with `ADMIN_PASSWORD`: where no active account is admin, this one is made so at the start; else nothing happens",
  }),
  ADMIN_PASSWORD: password({
    default: "",
    desc: "**secret.** The first admin's password, also for an account that has `ADMIN_EMAIL` already",
  }),
  RATE_LIMIT: str({
    choices: ["on", "off"],
    default: "on",
    desc: "`off` for load tests; production refuses that",
  }),
  RATE_LIMIT_DEFAULT: budget({
    default: { points: 300, duration: 60 },
    desc: "requests/seconds of a user, or of an address where nobody is logged in",
  }),
  RATE_LIMIT_AUTH: budget({
    default: { points: 20, duration: 60 },
    desc: "the same for registration, login, refresh and password routes",
  }),
  RATE_LIMIT_LOGIN_FAILURES: budget({
    default: { points: 5, duration: 900 },
    desc: "failed logins/seconds of one address at one account, after which both together are locked",
  }),
  TRUST_PROXY: natural({
    default: 0,
    desc: "proxies of your own in front of the gateway, each of which adds to `X-Forwarded-For`; 0: the header is not read",
  }),
  SOCKETS_PER_USER: positive({
    default: 100,
    desc: "sockets that a notifier holds open for one user",
  }),
  CONNECTIONS_PER_ADDRESS: natural({
    default: 256,
    desc: "connections that the gateway takes from one address; 0: any number. With `TRUST_PROXY` the proxies bound them: their own address is nobody's",
  }),
  KEEP_ALIVE_SECONDS: seconds({
    default: 75,
    desc: "seconds that an idle connection is kept; more than a balancer in front keeps it (60 is usual), or it sends a request into a connection that just closed",
  }),
  REQUIRE_IF_MATCH: bool({
    default: false,
    desc: "whether PUT, PATCH and DELETE of what has an ETag are refused without `If-Match` (428)",
  }),
  RETENTION_DAYS: positive({
    default: 30,
    desc: "days after which what was deleted is removed for good",
  }),
  DUE_SOON_HOURS: positive({
    default: 24,
    desc: "hours before a task's due date when `task_due_soon` tells of it",
  }),
  CORS_ORIGINS: list({
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
    desc: "**secret.** Where mails are handed over, `smtp://user:password@host:587`; empty: they are shown on the terminal, or dropped in production",
  }),
  MAIL_FROM: str({ default: "Taskwire <taskwire@localhost>", desc: "sender of mails" }),
  APP_URL: url(
    "http:",
    "https:",
  )({ default: "http://127.0.0.1:3000", desc: "where the links in mails lead, without a `/` at its end" }),
  LOG_LEVEL: str({
    choices: ["fatal", "error", "warn", "info", "debug", "trace"],
    default: "info",
    devDefault: "warn",
    desc: "least level that is logged",
  }),
  LOG_JSON: bool({
    default: true,
    devDefault: false,
    desc: "one JSON object a line (pino), else text for people",
  }),
};

const SECRETS = [
  "DATABASE_URL",
  "NATS_URL",
  "REDIS_URL",
  "JWT_SECRET",
  "JWT_SECRET_PREVIOUS",
  "ADMIN_PASSWORD",
  "SMTP_URL",
] as const;

type Spec = { desc?: string; default?: unknown; devDefault?: unknown; example?: string };
type Variables = typeof VARIABLES;
export type Config = Readonly<{
  [Name in keyof Variables]: Variables[Name] extends { _parse(input: string): infer Value } ? Value : never;
}> & { readonly production: boolean };

/** Says what to set, in one line a variable. */
export class ConfigError extends Error {}

function refuse(problems: string[]): void {
  if (problems.length > 0) throw new ConfigError(problems.join("\n"));
}

/**
 * Reads and checks the environment once. `NAME_FILE` names a file that holds `NAME`, for secrets (Docker, Kubernetes).
 * @throws ConfigError one line for each variable that is missing or wrong; it never shows a value of a secret
 */
export function loadConfig(source: NodeJS.ProcessEnv): Config {
  const problems: string[] = [];
  // An empty variable is an unset one, as in a compose file's `NATS_URL=`.
  const env: NodeJS.ProcessEnv = Object.fromEntries(
    Object.entries(source).filter(([, value]) => value !== ""),
  );
  env.NODE_ENV ??= "development";
  for (const name of SECRETS) {
    const file = env[`${name}_FILE`];
    if (file === undefined) continue;
    if (env[name] !== undefined) problems.push(`${name}: set ${name} or ${name}_FILE, not both`);
    try {
      env[name] = readFileSync(file, "utf8").trim();
    } catch (error) {
      problems.push(`${name}_FILE: cannot read ${file} (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  const values = cleanEnv(env, VARIABLES, {
    reporter: ({ errors }) => {
      for (const [name, error] of Object.entries(errors))
        problems.push(`${name}: ${error.message.replaceAll("\n", " ")}`);
    },
  });
  refuse(problems);
  if ((values.ADMIN_EMAIL === "") !== (values.ADMIN_PASSWORD === ""))
    problems.push("ADMIN_EMAIL, ADMIN_PASSWORD: set both or none");
  const production = values.NODE_ENV === "production";
  if (production) {
    if (values.DATABASE_URL === "")
      problems.push("DATABASE_URL: set it, production has no embedded Postgres");
    if (["", DEVELOPMENT_SECRET].includes(values.JWT_SECRET))
      problems.push("JWT_SECRET: set a secret of your own, for example by `openssl rand -base64 48`");
    if (values.JWT_SECRET_PREVIOUS === DEVELOPMENT_SECRET)
      problems.push("JWT_SECRET_PREVIOUS: everybody knows the development secret, leave it out");
    if (values.SMTP_URL !== "") {
      // Their defaults lead nowhere outside of this machine.
      if (env.MAIL_FROM === undefined) problems.push("MAIL_FROM: set the sender of mails");
      if (env.APP_URL === undefined) problems.push("APP_URL: set where the links in mails lead");
    }
    if (values.RATE_LIMIT === "off") problems.push("RATE_LIMIT: off is for load tests");
    if (values.BCRYPT_COST < 10) problems.push("BCRYPT_COST: below 10 is for tests");
    if (values.SERVICES.length < SERVICES.length && values.NATS_URL === "")
      problems.push("NATS_URL: set it, this node runs only some of the services");
  }
  refuse(problems);
  return Object.freeze({ ...values, production });
}

/** The README's table of variables (Markdown). */
export function documentConfig(): string {
  const show = (value: unknown): string =>
    [value ?? ""]
      .flat()
      .map((item: unknown) =>
        typeof item === "object" && item !== null ? Object.values(item).join("/") : `${item as string}`,
      )
      .join(",");
  const rows = Object.entries(VARIABLES as unknown as Record<string, Spec>).map(([name, spec]) => {
    const usual = name === "SERVICES" ? "all" : show(spec.default);
    const development =
      spec.devDefault === undefined || name === "JWT_SECRET"
        ? ""
        : ` (${show(spec.devDefault)} in development)`;
    const file = (SECRETS as readonly string[]).includes(name) ? ` Also \`${name}_FILE\`.` : "";
    return `| \`${name}\` | ${usual === "" ? "" : `\`${usual}\``}${development} | ${spec.desc ?? ""}.${file} |`;
  });
  return ["| variable | default | meaning |", "| --- | --- | --- |", ...rows].join("\n");
}
