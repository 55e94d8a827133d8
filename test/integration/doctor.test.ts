/** `npm run doctor`, with everything well, with each thing broken, and with all of them hanging. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { SMTPServer } from "smtp-server";
import { startNats } from "../../local/nats.ts";
import { freePort } from "../../local/ports.ts";
import { startRedis } from "../../local/redis.ts";
import type { LocalServer } from "../../local/server-process.ts";
import { describeSkew, describeVersion } from "../../scripts/doctor/check-database.ts";
import { describeFindings, doctor } from "../../scripts/doctor/doctor.ts";
import { freshDatabase } from "../support/database.ts";
import { runProgram } from "../support/program.ts";

const SECRET = "hush0123456789-hush0123456789-hush";

/** Ends what was started, the newest first. */
const ends: (() => unknown)[] = [];
/** A TCP server that answers each connection so. */
async function serve(answer: (write: (text: string) => void, asked: string) => void): Promise<string> {
  const server: Server = createServer((socket) => {
    socket.on("error", () => {});
    const write = (text: string): void => void socket.write(text);
    answer(write, "");
    socket.on("data", (data) => answer(write, data.toString()));
  }).listen(0, "127.0.0.1");
  ends.push(() => server.close());
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

let env: Record<string, string>;
let redis: LocalServer;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "taskwire-doctor-"));
  const [databaseUrl, nats, started] = await Promise.all([freshDatabase(), startNats(), startRedis()]);
  redis = started;
  const smtp = new SMTPServer({ authOptional: true, disabledCommands: ["STARTTLS"], closeTimeout: 100 });
  smtp.on("error", () => {});
  const listening = smtp.listen(0, "127.0.0.1");
  ends.push(
    () => new Promise<void>((done) => smtp.close(done)),
    () => Promise.all([nats.stop(), redis.stop()]),
    () => rm(folder, { recursive: true }),
  );
  await once(listening, "listening");
  await withRedis((client) => client.config("SET", "maxmemory", "64mb", "maxmemory-policy", "allkeys-lru"));
  env = {
    NODE_ENV: "test",
    DATABASE_URL: `${databaseUrl}?options=${encodeURIComponent("-c synchronous_commit=on")}`,
    NATS_URL: nats.url,
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${(listening.address() as AddressInfo).port}`,
    JWT_SECRET: SECRET,
    PORT: String(await freePort()),
  };
});
afterAll(async () => {
  for (const end of ends) await end();
});

async function withRedis(work: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(redis.url);
  await work(client).finally(() => client.disconnect());
}

test("a system that is well: a line for each part, and code 0", async () => {
  const { code, stdout, stderr } = await runProgram("scripts/doctor.ts", env).ended;
  expect([code, stderr]).toEqual([0, ""]);
  for (const line of [
    /^ok {4}secrets {3}none is a default/m,
    /^ok {4}database {2}Postgres \d+\.\d+ at 127\.0\.0\.1:\d+\/test_\w+, answers in \d+ ms$/m,
    /^ok {4}database {2}has every migration of this version$/m,
    /^ok {4}database {2}this node may open 37 connections; Postgres takes \d+, and \d+ are open$/m,
    /^ok {4}database {2}clock \d+ ms (behind|ahead of) Postgres'$/m,
    // Postgres of the tests is not durable; production refuses that.
    /^warn {2}database {2}fsync is off, so a crash may destroy the database: set it to on$/m,
    /^ok {4}NATS {6}\d+\.\d+\.\d+ at 127\.0\.0\.1:\d+, answers in \d+ ms$/m,
    /^ok {4}Redis {5}\d+\.\d+\.\d+ at 127\.0\.0\.1:\d+, answers in \d+ ms$/m,
    /^ok {4}Redis {5}forgets the oldest when it is full \(maxmemory-policy allkeys-lru\)$/m,
    /^ok {4}SMTP {6}127\.0\.0\.1:\d+ takes the credentials$/m,
    /^ok {4}ports {5}PORT \d+ is free$/m,
  ])
    expect(stdout).toMatch(line);
});

describe("one thing broken", () => {
  const NOBODY = "127.0.0.1:1";
  const secretFile = async (mode: number): Promise<string> => {
    const file = join(folder, `secret-${mode}`);
    await writeFile(file, SECRET);
    await chmod(file, mode);
    return file;
  };

  test.each<[string, () => Promise<NodeJS.ProcessEnv> | NodeJS.ProcessEnv, RegExp]>([
    [
      "no Postgres",
      () => ({ DATABASE_URL: `postgres://t:hush@${NOBODY}/t` }),
      /^fail {2}database .*127\.0\.0\.1:1\/t can't be reached \(.*\): start it, or correct DATABASE_URL$/m,
    ],
    [
      "a database without migrations",
      () => ({ DATABASE_URL: process.env.TEST_POSTGRES_URL }),
      /^fail {2}database .*lacks \d+ migrations .*npm run migrate/m,
    ],
    [
      "commits that wait for no disk",
      () => ({ DATABASE_URL: env.DATABASE_URL?.replace("%3Don", "%3Doff") }),
      /^warn {2}database .*synchronous_commit is off.*set it to on$/m,
    ],
    [
      "no durability in production",
      () => ({ NODE_ENV: "production", MAIL_FROM: "a@example.com", APP_URL: "https://a.example.com" }),
      /^fail {2}database .*fsync is off[^]*^warn {2}database .*no synchronous standby/m,
    ],
    [
      "more connections than Postgres has",
      () => ({ DATABASE_POOL: "500" }),
      /^fail {2}database .*may open 527 connections; Postgres takes \d+, .*lower DATABASE_POOL$/m,
    ],
    [
      "no NATS",
      () => ({ NATS_URL: `nats://t:hush@${NOBODY}` }),
      /^fail {2}NATS .*127\.0\.0\.1:1 can't be reached .*NATS_URL$/m,
    ],
    [
      "one NATS of two",
      () => ({ NATS_URL: `${env.NATS_URL},nats://${NOBODY}` }),
      /^ok {4}NATS .*[^]*^warn {2}NATS .*127\.0\.0\.1:1 can't be reached/m,
    ],
    [
      "a NATS that takes 1 MB",
      async () => {
        const info = JSON.stringify({
          server_id: "x",
          version: "2.0.0",
          max_payload: 1_048_576,
          headers: true,
        });
        const at = await serve((write, asked) => write(asked === "" ? `INFO ${info}\r\n` : "PONG\r\n"));
        return { NATS_URL: `nats://${at}` };
      },
      /^fail {2}NATS .*accepts messages of 1\.0 MB: set max_payload: 8MB/m,
    ],
    [
      "no Redis",
      () => ({ REDIS_URL: `redis://:hush@${NOBODY}` }),
      /^fail {2}Redis .*127\.0\.0\.1:1 can't be reached \(.*ECONNREFUSED.*REDIS_URL$/m,
    ],
    [
      "another password of Redis",
      () => ({ REDIS_URL: redis.url.replace(/:[^:@]+@/, ":hush@") }),
      /^fail {2}Redis .*can't be reached \(.*(WRONGPASS|invalid).*REDIS_URL$/m,
    ],
    [
      "no mail server",
      () => ({ SMTP_URL: `smtp://ada:hush@${NOBODY}` }),
      /^fail {2}SMTP .*127\.0\.0\.1:1 does not take mails \(\w+.*\): correct SMTP_URL$/m,
    ],
    [
      "another password of the mail server",
      () => ({ SMTP_URL: env.SMTP_URL?.replace("//", "//ada:hush@") }),
      /^fail {2}SMTP .*does not take mails \(EAUTH.*correct SMTP_URL$/m,
    ],
    [
      "no mail server in production",
      () => ({ NODE_ENV: "production", SMTP_URL: "" }),
      /^warn {2}SMTP .*mails are dropped/m,
    ],
    [
      "the secret that everybody knows",
      () => ({ NODE_ENV: "development", JWT_SECRET: "" }),
      /^warn {2}secrets .*JWT_SECRET is the one that everybody knows/m,
    ],
    [
      "a secret that is no secret",
      () => ({ JWT_SECRET: "abc".repeat(11) }),
      /^warn {2}secrets .*JWT_SECRET is no random text/m,
    ],
    [
      "a rotation that was not ended",
      () => ({ JWT_SECRET_PREVIOUS: `${SECRET}-older` }),
      /^warn {2}secrets .*JWT_SECRET_PREVIOUS is still accepted/m,
    ],
    [
      "a secret's file that all can read",
      async () => ({ JWT_SECRET: "", JWT_SECRET_FILE: await secretFile(0o644) }),
      /^warn {2}secrets .*every user of this machine can read \S+ \(JWT_SECRET_FILE\): chmod o-r/m,
    ],
    [
      "a secret that is too short",
      () => ({ JWT_SECRET: "hush" }),
      /^fail {2}configuration {2}JWT_SECRET: needs at least 32 bytes$/,
    ],
    [
      "a taken port",
      async () => ({ PORT: (await serve(() => {})).split(":")[1] }),
      /^fail {2}ports .*port \d+ is taken .*set PORT to a free one/m,
    ],
  ])("%s", async (_, broken, line) => {
    const text = describeFindings(await doctor({ ...env, ...(await broken()) }));
    expect(text).toMatch(line);
    expect(text).not.toContain("hush");
  });

  test("Redis: a replica, a full one that refuses writes, and one without a bound", async () => {
    const replica = await startRedis({ replicaOf: redis });
    const found = describeFindings(await doctor({ ...env, REDIS_URL: replica.url }));
    await replica.stop();
    expect(found).toMatch(/^fail {2}Redis .*is a replica.*name the master in REDIS_URL$/m);
    expect(found).toMatch(/^warn {2}Redis .*no bound on its memory: set maxmemory/m);
    await withRedis((client) => client.config("SET", "maxmemory-policy", "noeviction"));
    expect(describeFindings(await doctor(env))).toMatch(
      /^warn {2}Redis .*noeviction.*set it to allkeys-lru$/m,
    );
  });

  test.each([
    [describeSkew(-120), ["ok", "clock 120 ms behind Postgres'"]],
    [
      describeSkew(1500),
      ["warn", "clock 1.5 s ahead of Postgres': run chrony or another NTP client on both machines"],
    ],
    [describeSkew(-60_000)[0], "fail"],
    [describeVersion(14, "14.2"), ["fail", "Postgres 14.2 is too old: upgrade it to 15 or later"]],
  ])("of a clock or a version it says %j", (said, expected) => expect(said).toEqual(expected));
});

test("when all of them accept a connection and say nothing, it ends within seconds and names each", async () => {
  const at = await serve(() => {});
  const { code, stdout, ms } = await runProgram("scripts/doctor.ts", {
    ...env,
    DATABASE_URL: `postgres://t:hush@${at}/t`,
    NATS_URL: `nats://t:hush@${at}`,
    REDIS_URL: `redis://:hush@${at}`,
    SMTP_URL: `smtp://t:hush@${at}`,
  }).ended;
  expect(code).toBe(1);
  for (const part of ["database", "NATS", "Redis", "SMTP"])
    expect(stdout).toMatch(new RegExp(`^fail  ${part} `, "m"));
  expect(ms).toBeLessThan(8000);
  expect(stdout).not.toContain("hush");
});
