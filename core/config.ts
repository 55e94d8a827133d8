import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { bool, cleanEnv, makeValidator, port, str } from "envalid";
import { originOf } from "./origin.ts";
import { isEmailAddress } from "./text.ts";

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

/** What a browser sends as `Origin`: scheme, host and port, lower case, and no `/` at its end. */
const origins = makeValidator<string[]>((input) => {
  const items = input
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
  if (items.includes("*") && items.length > 1) throw new Error("`*` means all: leave out the rest");
  for (const item of items)
    if (item !== "*" && !(/^https?:/.test(item) && URL.canParse(item) && new URL(item).origin === item))
      throw new Error(
        `"${item}" is no origin such as https://app.example.com, without a path or a / at its end`,
      );
  return items;
});

const secret = makeValidator<string>((input) => {
  if (Buffer.byteLength(input) < 32) throw new Error("needs at least 32 bytes");
  return input;
});

const decodes = (text: string): boolean => {
  try {
    return decodeURIComponent(text) !== "";
  } catch {
    return false;
  }
};

const url = (...protocols: string[]) =>
  makeValidator<string>((input) => {
    if (!URL.canParse(input) || !protocols.includes(new URL(input).protocol))
      throw new Error(`needs a URL that begins with ${protocols.map((name) => `${name}//`).join(" or ")}`);
    const { username, password, hostname, pathname } = new URL(input);
    if (hostname === "") throw new Error("needs a URL that names a host");
    if (![username, password, pathname].every((part) => part === "" || decodes(part)))
      throw new Error("a % in the URL's user, password or path has to be written %25");
    return input;
  });

/** Redis numbers its databases. */
const redisUrl = makeValidator<string>((input) => {
  const checked = url("redis:", "rediss:")({ default: "" })._parse(input);
  if (!/^\/?\d*$/.test(new URL(checked).pathname))
    throw new Error("its path is the number of a database, such as /0");
  return checked;
});

/** Where links lead: what comes after it begins with a `/`. */
const baseUrl = makeValidator<string>((input) => {
  const checked = url("http:", "https:")({ default: "" })._parse(input);
  const { username, password, search, hash } = new URL(checked);
  if (checked.endsWith("/") || [username, password, search, hash].some((part) => part !== ""))
    throw new Error("needs a URL without a / at its end, credentials, ? or #");
  return checked;
});

/** A whole number; `unit` says what is counted. */
const whole = (from: number, to: number, unit = "") =>
  makeValidator<number>((input) => {
    const value = Number(input);
    if (!Number.isInteger(value) || value < from || value > to)
      throw new Error(`"${input}" is no whole number from ${from} to ${to}${unit && ` (${unit})`}`);
    return value;
  });

/** An address of this machine, or a name of it: no URL, no port. */
const host = makeValidator<string>((input) => {
  const name = /^(?!-)[a-z\d-]{1,63}(\.[a-z\d-]{1,63})*\.?$/i;
  if (isIP(input) === 0 && !(input.length <= 253 && name.test(input)))
    throw new Error(`"${input}" is no address such as 127.0.0.1, ::1 or 0.0.0.0, without a port`);
  return input;
});

/** Part of subjects in NATS and of keys in Redis, where spaces, `*` and `>` have a meaning. */
const token = makeValidator<string>((input) => {
  if (input.length > 100 || !/^[\w-]+(\.[\w-]+)*$/.test(input))
    throw new Error(`"${input}" needs 1 to 100 of A-Z a-z 0-9 _ - and single dots within`);
  return input;
});

/** A URI or a plain name. */
const issuer = makeValidator<string>((input) => {
  if (!/^[\x21-\x7e]{1,200}$/.test(input))
    throw new Error("needs 1 to 200 printable characters without spaces");
  return input;
});

/** `name@host`, or `Name <name@host>` (RFC 5322). */
const mailbox = makeValidator<string>((input) => {
  if (
    input.length > 320 ||
    !/^(?:[^<>@,;\p{C}]*<[^\s<>@,;]+@[^\s<>@,;]+>|[^\s<>@,;]+@[^\s<>@,;]+)$/u.test(input)
  )
    throw new Error("needs a sender such as Taskwire <taskwire@example.com>");
  return input;
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
  const address = input.trim().normalize("NFC");
  if (!isEmailAddress(address)) throw new Error("needs an e-mail address");
  return address;
});

const password = makeValidator<string>((input) => {
  const { length } = [...input];
  if (length < 8 || length > 128) throw new Error("needs 8 to 128 characters");
  return input;
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
  HOST: host({
    default: "127.0.0.1",
    desc: "address that the HTTP servers listen on; `0.0.0.0` in a container",
  }),
  PORT: port({ default: 3000, desc: "the gateway's port" }),
  OPS_PORT: whole(
    0,
    65_535,
  )({ default: 0, desc: "where this node serves Prometheus `/metrics`; 0: nowhere" }),
  METRICS_TOKEN: secret({
    default: "",
    desc: "**secret.** What `/metrics` wants as a bearer token, ≥ 32 bytes; empty: nothing, for networks where nobody else is",
  }),
  NOTIFIER_PORT: port({ default: 3001, desc: "the notifier's port on a node without the gateway" }),
  DRAIN_SECONDS: whole(
    0,
    300,
    "seconds",
  )({
    default: 5,
    devDefault: 0,
    desc: "seconds over which a notifier that stops lets go of its sockets, so that they do not all come back at once",
  }),
  DATABASE_URL: url(
    "postgres:",
    "postgresql:",
  )({ default: "", desc: "Postgres ≥ 15; empty: an embedded one below `DATA_DIR`" }),
  DATABASE_POOL: whole(
    1,
    500,
  )({ default: 10, desc: "connections to Postgres that a node holds at the most" }),
  DATABASE_TIMEOUT: whole(
    100,
    60_000,
    "milliseconds",
  )({ default: 1800, desc: "milliseconds after which a statement is given up (504)" }),
  DATA_DIR: str({ default: ".data", desc: "where the embedded Postgres keeps its data" }),
  NATS_URL: url(
    "nats:",
    "tls:",
  )({ default: "", desc: "the broker; empty: all services in this one process" }),
  REDIS_URL: redisUrl({
    default: "",
    desc: "links notifiers and the rate limits of gateways; empty: one of each alone",
  }),
  NAMESPACE: token({ default: "taskwire", desc: "separates clusters that share brokers" }),
  NODE_ID: token({ default: "", desc: "name of this node in the cluster; empty: host name and process id" }),
  JWT_SECRET: secret({
    default: "",
    devDefault: DEVELOPMENT_SECRET,
    desc: "**secret.** Signs access tokens, ≥ 32 bytes; `openssl rand -base64 48`",
  }),
  JWT_SECRET_PREVIOUS: secret({
    default: "",
    desc: "**secret.** The last one, still accepted while it is being rotated out",
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
    "seconds, a year at the most",
  )({ default: 2_592_000, desc: "seconds that an unused refresh token lives" }),
  BCRYPT_COST: whole(4, 15)({ default: 12, devDefault: 10, desc: "bcrypt cost, 10 to 15 outside tests" }),
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
  TRUST_PROXY: whole(
    0,
    20,
  )({
    default: 0,
    desc: "proxies of your own in front of the gateway, each of which adds to `X-Forwarded-For`; 0: the header is not read",
  }),
  SOCKETS_PER_USER: whole(
    1,
    100_000,
  )({
    default: 100,
    desc: "sockets that a notifier holds open for one user",
  }),
  CONNECTIONS_PER_ADDRESS: whole(
    0,
    1_000_000,
  )({
    default: 256,
    desc: "connections that the gateway takes from one address; 0: any number. With `TRUST_PROXY` the proxies bound them: their own address is nobody's",
  }),
  KEEP_ALIVE_SECONDS: seconds({
    default: 75,
    desc: "seconds that an idle connection is kept; more than a balancer in front keeps it (60 is usual), or it sends a request into a connection that just closed",
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
    desc: "whether PUT, PATCH and DELETE of what has an ETag are refused without `If-Match` (428)",
  }),
  RETENTION_DAYS: whole(
    1,
    3650,
    "days",
  )({
    default: 30,
    desc: "days after which what was deleted is removed for good",
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
    desc: "**secret.** Where mails are handed over, `smtp://user:password@host:587`; empty: they are shown on the terminal, or dropped in production",
  }),
  MAIL_FROM: mailbox({ default: "Taskwire <taskwire@localhost>", desc: "sender of mails" }),
  APP_URL: baseUrl({
    default: "",
    desc: "where the links in mails lead: this server's own pages, or an app that has `/verify-email` and `/reset-password`; empty: where this node listens",
  }),
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
  "METRICS_TOKEN",
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
  if (values.BCRYPT_COST < 10 && values.NODE_ENV !== "test")
    problems.push("BCRYPT_COST: below 10 is for tests (NODE_ENV=test)");
  if (values.REFRESH_TOKEN_TTL < values.ACCESS_TOKEN_TTL)
    problems.push("REFRESH_TOKEN_TTL: must not be shorter than ACCESS_TOKEN_TTL");
  if (values.JWT_SECRET_PREVIOUS !== "" && values.JWT_SECRET_PREVIOUS === values.JWT_SECRET)
    problems.push("JWT_SECRET_PREVIOUS: is JWT_SECRET itself, leave it out");
  const [runsGateway, runsNotifier] = [
    values.SERVICES.includes("api-gateway"),
    values.SERVICES.includes("notifier"),
  ];
  if (values.OPS_PORT !== 0) {
    if (runsGateway && values.OPS_PORT === values.PORT)
      problems.push("OPS_PORT: is PORT, set it to another one");
    if (!runsGateway && runsNotifier && values.OPS_PORT === values.NOTIFIER_PORT)
      problems.push("OPS_PORT: is NOTIFIER_PORT, set it to another one");
  }
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
    if (values.SERVICES.length < SERVICES.length && values.NATS_URL === "")
      problems.push("NATS_URL: set it, this node runs only some of the services");
  }
  refuse(problems);
  const APP_URL = values.APP_URL === "" ? originOf(values.HOST, values.PORT) : values.APP_URL;
  return Object.freeze({ ...values, APP_URL, production });
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
