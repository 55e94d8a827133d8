import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SECRETS } from "../../core/config/variables.ts";
import { type Config, ConfigError, documentConfig, loadConfig, SERVICES } from "../../core/config.ts";

/** Told apart from everything that an error may say. */
const SECRET = "hush-hush-hush-hush-hush-hush-hush-hush";
const PRODUCTION = {
  NODE_ENV: "production",
  DATABASE_URL: `postgres://taskwire:${SECRET}@db/taskwire`,
  JWT_SECRET: SECRET,
};

/** The lines that a refused environment is answered with. */
function refusal(env: NodeJS.ProcessEnv): string[] {
  let error: unknown = new Error("the environment was accepted");
  try {
    loadConfig(env);
  } catch (thrown) {
    error = thrown;
  }
  if (!(error instanceof ConfigError)) throw error;
  return error.message.split("\n");
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "taskwire-config-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A file with this content. */
async function fileOf(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe("without any variable", () => {
  test("everything runs in one process for development", () => {
    expect(loadConfig({})).toMatchObject({
      NODE_ENV: "development",
      production: false,
      SERVICES: [...SERVICES],
      HOST: "127.0.0.1",
      PORT: 3000,
      DATABASE_URL: "",
      NATS_URL: "",
      REDIS_URL: "",
      ACCESS_TOKEN_TTL: 900,
      CORS_ORIGINS: ["*"],
      LOG_JSON: "auto",
    });
  });

  test("but NODE_ENV, production's own defaults apply", () => {
    expect(loadConfig(PRODUCTION)).toMatchObject({
      production: true,
      BCRYPT_COST: 12,
      CORS_ORIGINS: [],
      LOG_LEVEL: "info",
      LOG_JSON: "auto",
    });
  });

  test("the configuration is frozen, and holds nothing of the environment but its variables", () => {
    const config = loadConfig({ HOME: "/root" });
    expect(Object.isFrozen(config)).toBe(true);
    expect(config).not.toHaveProperty("HOME");
  });
});

describe("a variable", () => {
  test.each<[NodeJS.ProcessEnv, Partial<Config>]>([
    [{ SERVICES: "all" }, { SERVICES: [...SERVICES] }],
    [{ SERVICES: "tasks, auth" }, { SERVICES: ["tasks", "auth"] }],
    [{ PORT: "8080" }, { PORT: 8080 }],
    [{ DATABASE_URL: "postgresql://db/x" }, { DATABASE_URL: "postgresql://db/x" }],
    [{ NATS_URL: "tls://broker:4222" }, { NATS_URL: "tls://broker:4222" }],
    [{ REDIS_URL: "rediss://cache" }, { REDIS_URL: "rediss://cache" }],
    [{ NATS_URL: "nats://one:4222, nats://two:4222" }, { NATS_URL: "nats://one:4222,nats://two:4222" }],
    [{ REDIS_URL: "redis+sentinel://:p@one,two/main" }, { REDIS_URL: "redis+sentinel://:p@one,two/main" }],
    [
      { CORS_ORIGINS: "https://a.example, https://b.example," },
      { CORS_ORIGINS: ["https://a.example", "https://b.example"] },
    ],
    [{ CORS_ORIGINS: "*" }, { CORS_ORIGINS: ["*"] }],
    [{ HOST: "::1" }, { HOST: "::1" }],
    [{ HOST: "board.internal" }, { HOST: "board.internal" }],
    [{ MAIL_FROM: "Tasks of Ada <ada@example.com>" }, { MAIL_FROM: "Tasks of Ada <ada@example.com>" }],
    [{ MAIL_FROM: "ada@example.com" }, { MAIL_FROM: "ada@example.com" }],
    [{ APP_URL: "https://a.example/board" }, { APP_URL: "https://a.example/board" }],
    [{ NODE_ID: "tasks-7f9c.pod_2" }, { NODE_ID: "tasks-7f9c.pod_2" }],
    [{ NODE_ENV: "test", BCRYPT_COST: "4" }, { BCRYPT_COST: 4 }],
    [{ LOG_JSON: "true" }, { LOG_JSON: "true" }],
    [{ PORT: "8080" }, { APP_URL: "http://127.0.0.1:8080" }],
    [{ HOST: "0.0.0.0", PORT: "8080" }, { APP_URL: "http://127.0.0.1:8080" }],
    [{ HOST: "::1" }, { APP_URL: "http://[::1]:3000" }],
    [{ APP_URL: "https://app.example.com", PORT: "8080" }, { APP_URL: "https://app.example.com" }],
    [
      { ADMIN_EMAIL: " root@example.com ", ADMIN_PASSWORD: "correct horse" },
      { ADMIN_EMAIL: "root@example.com" },
    ],
  ])("is read: %j", (env, expected) => {
    expect(loadConfig(env)).toMatchObject(expected);
  });

  test.each(["PORT", "SERVICES", "NODE_ENV", "DATABASE_URL", "NATS_URL", "JWT_SECRET", "JWT_SECRET_FILE"])(
    "%s that is empty is unset",
    (name) => {
      expect(loadConfig({ [name]: "" })).toEqual(loadConfig({}));
    },
  );
});

describe("one line says what is wrong", () => {
  const alone = { SERVICES: "tasks" };
  const { JWT_SECRET: developmentSecret } = loadConfig({});

  test.each<[what: string, env: NodeJS.ProcessEnv, line: RegExp]>([
    ["a PORT that is no number", { PORT: "http" }, /^PORT: .*"http"/],
    ["an ADMIN_EMAIL that is no address", { ADMIN_EMAIL: "root" }, /^ADMIN_EMAIL: .*e-mail address/],
    [
      "an ADMIN_EMAIL with an escape sequence",
      { ADMIN_EMAIL: "root\u001b[2J@example.com" },
      /^ADMIN_EMAIL: needs an e-mail address$/,
    ],
    ["a PORT beyond 65535", { PORT: "65536" }, /^PORT: /],
    ["an unknown service", { SERVICES: "tasks,cats" }, /^SERVICES: "cats" is not one of api-gateway, auth,/],
    ["an unknown NODE_ENV", { NODE_ENV: "staging" }, /^NODE_ENV: .*production/],
    ["an unknown LOG_LEVEL", { LOG_LEVEL: "loud" }, /^LOG_LEVEL: .*fatal/],
    ["a LOG_JSON that is none of its values", { LOG_JSON: "perhaps" }, /^LOG_JSON: /],
    ["a pool of none", { DATABASE_POOL: "0" }, /^DATABASE_POOL: "0" is not a whole number from 1 to 500/],
    ["half a second", { DATABASE_TIMEOUT: "0.5" }, /^DATABASE_TIMEOUT: .*whole number/],
    ["a short secret", { JWT_SECRET: "hush" }, /^JWT_SECRET: .*32 bytes/],
    ["a short previous secret", { JWT_SECRET_PREVIOUS: "hush" }, /^JWT_SECRET_PREVIOUS: .*32 bytes/],
    ["another database", { DATABASE_URL: `mysql://root:${SECRET}@db` }, /^DATABASE_URL: .*postgres:/],
    ["no URL", { NATS_URL: `${SECRET}@broker` }, /^NATS_URL: .*nats:/],
    ["another cache", { REDIS_URL: `http://:${SECRET}@cache` }, /^REDIS_URL: .*redis:/],
    ["a cost that hashes for ever", { BCRYPT_COST: "31" }, /^BCRYPT_COST: .*15/],
    ["a cheap hash outside tests", { BCRYPT_COST: "5" }, /^BCRYPT_COST: below 10 is for tests/],
    ["an origin without a scheme", { CORS_ORIGINS: "foo" }, /^CORS_ORIGINS: "foo" is not an origin such as/],
    ["an origin with a last slash", { CORS_ORIGINS: "https://a.example/" }, /^CORS_ORIGINS: .*not an origin/],
    [
      "an origin that no browser sends",
      { CORS_ORIGINS: "https://A.example" },
      /^CORS_ORIGINS: .*not an origin/,
    ],
    ["all origins and one more", { CORS_ORIGINS: "*,https://a.example" }, /^CORS_ORIGINS: `\*` means all/],
    ["a sender that is none", { MAIL_FROM: "foo" }, /^MAIL_FROM: .*Taskwire <taskwire@example.com>/],
    ["a sender that brings a header", { MAIL_FROM: "a\nBcc: b <a@b>" }, /^MAIL_FROM: /],
    ["a timeout that nothing meets", { DATABASE_TIMEOUT: "1" }, /^DATABASE_TIMEOUT: .*from 100 to 60000/],
    ["more connections than Postgres has", { DATABASE_POOL: "10000" }, /^DATABASE_POOL: .*from 1 to 500/],
    ["a HOST that is a URL", { HOST: "http://127.0.0.1" }, /^HOST: .*not an address such as 127\.0\.0\.1/],
    ["a HOST with a port", { HOST: "127.0.0.1:3000" }, /^HOST: .*without a port/],
    ["links that would have two slashes", { APP_URL: "https://a.example/" }, /^APP_URL: .*without a \//],
    ["links with a query", { APP_URL: "https://a.example/x?y" }, /^APP_URL: /],
    ["a wildcard as a namespace", { NAMESPACE: "a.*" }, /^NAMESPACE: "a\.\*" needs/],
    ["a node's name with a space", { NODE_ID: "node 1" }, /^NODE_ID: "node 1" needs/],
    ["an issuer with a space", { JWT_ISSUER: "task wire" }, /^JWT_ISSUER: /],
    ["tokens that live a second", { ACCESS_TOKEN_TTL: "1" }, /^ACCESS_TOKEN_TTL: .*from 30 to 86400/],
    ["a session of centuries", { REFRESH_TOKEN_TTL: "9999999999" }, /^REFRESH_TOKEN_TTL: .*31536000/],
    [
      "a session that ends before its token",
      { ACCESS_TOKEN_TTL: "900", REFRESH_TOKEN_TTL: "60" },
      /^REFRESH_TOKEN_TTL: must not be shorter/,
    ],
    ["a budget of none", { RATE_LIMIT_AUTH: "0/60" }, /^RATE_LIMIT_AUTH: .*count\/seconds/],
    ["retention beyond what dates reach", { RETENTION_DAYS: "1000000" }, /^RETENTION_DAYS: .*3650/],
    ["a list of brokers with a gap", { NATS_URL: "nats://one,,nats://two" }, /^NATS_URL: .*nats:/],
    ["Sentinels without a name", { REDIS_URL: "redis+sentinel://one:26379" }, /^REDIS_URL: .*name/],
    ["a database of Redis that is no number", { REDIS_URL: "redis://cache/x" }, /^REDIS_URL: .*number/],
    ["a stray % in a password", { NATS_URL: "nats://me:hush%zz@broker" }, /^NATS_URL: a % .*%25/],
    ["a database without a host", { DATABASE_URL: "postgres:///taskwire" }, /^DATABASE_URL: .*host/],
    ["metrics at the gateway's port", { OPS_PORT: "3000" }, /^OPS_PORT: is PORT/],
    [
      "one key twice",
      { JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS: SECRET },
      /^JWT_SECRET_PREVIOUS: is JWT_SECRET/,
    ],
    ["a cost of half rounds", { BCRYPT_COST: "10.5" }, /^BCRYPT_COST: /],

    ["production without a secret", { ...PRODUCTION, JWT_SECRET: "" }, /^JWT_SECRET: set .*openssl/],
    [
      "production with the secret of development",
      { ...PRODUCTION, JWT_SECRET: developmentSecret },
      /^JWT_SECRET: set .*openssl/,
    ],
    [
      "production that goes on accepting the secret of development",
      { ...PRODUCTION, JWT_SECRET_PREVIOUS: developmentSecret },
      /^JWT_SECRET_PREVIOUS: /,
    ],
    [
      "production with the secret of development, where nobody signs",
      { ...PRODUCTION, ...alone, NATS_URL: "nats://broker", JWT_SECRET: developmentSecret },
      /^JWT_SECRET: set .*openssl/,
    ],
    [
      "a notifier of production without a secret",
      { ...PRODUCTION, SERVICES: "notifier", NATS_URL: "nats://broker", JWT_SECRET: "" },
      /^JWT_SECRET: set .*openssl/,
    ],
    ["production without a database", { ...PRODUCTION, DATABASE_URL: "" }, /^DATABASE_URL: set it/],
    ["production with a cheap hash", { ...PRODUCTION, BCRYPT_COST: "9" }, /^BCRYPT_COST: /],
    ["some services in production without a broker", { ...PRODUCTION, ...alone }, /^NATS_URL: set it/],

    ["production with an unknown service", { ...PRODUCTION, SERVICES: "cats" }, /^SERVICES: "cats"/],
    ["production with a short secret", { ...PRODUCTION, JWT_SECRET: "hush" }, /^JWT_SECRET: .*32 bytes/],
    [
      "production with another database",
      { ...PRODUCTION, DATABASE_URL: `mysql://root:${SECRET}@db` },
      /^DATABASE_URL: .*postgres:/,
    ],
    [
      "some services in production with another broker",
      { ...PRODUCTION, ...alone, NATS_URL: "amqp://broker" },
      /^NATS_URL: .*nats:/,
    ],
    ["production with a cost that is no number", { ...PRODUCTION, BCRYPT_COST: "low" }, /^BCRYPT_COST: /],
  ])("%s", (_what, env, line) => {
    const lines = refusal(env);
    expect(lines).toEqual([expect.stringMatching(line)]);
    expect(lines.join()).not.toMatch(/hush/);
  });

  test("for each variable that is wrong", () => {
    expect(refusal({ PORT: "http", JWT_SECRET: "hush", SERVICES: "cats" })).toEqual([
      expect.stringMatching(/^SERVICES: /),
      expect.stringMatching(/^PORT: /),
      expect.stringMatching(/^JWT_SECRET: /),
    ]);
  });

  test("a node of production that knows no tokens needs no secret for them", () => {
    const env = { ...PRODUCTION, ...alone, NATS_URL: "nats://broker", JWT_SECRET: "" };
    expect(loadConfig(env).JWT_SECRET).toBe("");
  });

  test("some services without a broker are fine outside production", () => {
    expect(loadConfig(alone).SERVICES).toEqual(["tasks"]);
  });
});

describe("a secret in a file", () => {
  const values = {
    DATABASE_URL: "postgres://db/x",
    NATS_URL: "nats://broker",
    REDIS_URL: "redis://cache",
    JWT_SECRET: SECRET,
    JWT_SECRET_PREVIOUS: SECRET,
    METRICS_TOKEN: SECRET,
    ADMIN_PASSWORD: SECRET,
    SMTP_URL: "smtp://relay",
    SENTRY_DSN: "https://key@errors/7",
  };
  test.each(Object.keys(values) as (keyof typeof values)[])("%s_FILE is read and trimmed", async (name) => {
    const file = await fileOf(name, ` ${values[name]} \n`);
    const others = name === "ADMIN_PASSWORD" ? { ADMIN_EMAIL: "ada@example.com" } : {};
    expect(loadConfig({ ...others, [`${name}_FILE`]: file })[name]).toBe(values[name]);
  });

  test("is possible for each secret", () => {
    expect(Object.keys(values).sort()).toEqual([...SECRETS].sort());
  });

  test("serves in production", async () => {
    const { JWT_SECRET, ...rest } = PRODUCTION;
    const file = await fileOf("production", `${JWT_SECRET}\n`);
    expect(loadConfig({ ...rest, JWT_SECRET_FILE: file }).JWT_SECRET).toBe(SECRET);
  });

  test("is refused beside the variable itself", async () => {
    const lines = refusal({ JWT_SECRET: SECRET, JWT_SECRET_FILE: await fileOf("both", SECRET) });
    expect(lines).toEqual(["JWT_SECRET: set JWT_SECRET or JWT_SECRET_FILE, not both"]);
  });

  test("that can't be read is named, with the reason", () => {
    const missing = join(folder, "missing");
    expect(refusal({ JWT_SECRET_FILE: missing })).toEqual([
      `JWT_SECRET_FILE: cannot read ${missing} (ENOENT)`,
    ]);
    expect(refusal({ DATABASE_URL_FILE: folder })).toEqual([
      `DATABASE_URL_FILE: cannot read ${folder} (EISDIR)`,
    ]);
  });

  test("that is too short is refused without being shown", async () => {
    const lines = refusal({ JWT_SECRET_FILE: await fileOf("short", "hush") });
    expect(lines).toEqual([expect.stringMatching(/^JWT_SECRET: .*32 bytes/)]);
    expect(lines.join()).not.toContain("hush");
  });
});

describe("the README's table", () => {
  const rows = documentConfig().split("\n").slice(2);

  test("has a row for every variable, in one order", () => {
    const { production: _derived, ...variables } = loadConfig({});
    expect(rows.map((row) => /^\| `(\w+)` \|/.exec(row)?.[1])).toEqual(Object.keys(variables));
  });

  test("says of each what it means", () => {
    for (const row of rows) expect(row).toMatch(/^\| `\w+` \| .* \| .{10,}\. ?.*\|$/);
  });

  test("shows defaults, names the _FILE of secrets, and never the secret of development", () => {
    const table = rows.join("\n");
    expect(table).toMatch(/^\| `PORT` \| `3000` \|/m);
    expect(table).toMatch(/^\| `SERVICES` \| `all` \|/m);
    expect(table).toMatch(/^\| `LOG_LEVEL` \| `info` \(warn in development\) \|/m);
    expect(table).toMatch(/^\| `JWT_SECRET` \|.*Also `JWT_SECRET_FILE`/m);
    expect(table).not.toContain(loadConfig({}).JWT_SECRET);
  });
});
