import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ServiceBroker } from "moleculer";
import pg from "pg";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import { up as addKeys } from "../../migrations/0009-keys.ts";
import { migrate } from "../../migrations/migrate.ts";
import { mustBeMigrated } from "../../migrations/ready.ts";
import { startNode } from "../../node.ts";
import { type Answer, Api, PASSWORD } from "../support/api.ts";
import { testConfig } from "../support/node.ts";

/** A database whose server folds ASCII alone: what a name is must not depend on that. */
async function databaseOfLocaleC(): Promise<string> {
  const url = new URL(process.env.TEST_POSTGRES_URL as string);
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  const name = `test_${newId().replaceAll("-", "")}`;
  try {
    await client.query(
      `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'`,
    );
  } finally {
    await client.end();
  }
  url.pathname = name;
  return url.href;
}

const KELVIN = "\u212A";
const COMPOSED = "Caf\u00e9";
const DECOMPOSED = "CAFE\u0301";

describe("on a server of another locale", () => {
  let broker: ServiceBroker;
  let api: Api;
  let database: string;
  beforeAll(async () => {
    database = await databaseOfLocaleC();
    await migrate(database);
    broker = await startNode(
      testConfig(database, { RATE_LIMIT: "on", RATE_LIMIT_AUTH: { points: 1000, duration: 60 } }),
    );
    const { server } = broker.getLocalService("api-gateway") as unknown as { server: Server };
    api = new Api(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  afterAll(() => broker?.stop());

  const login = (name: string, password = PASSWORD): Promise<Answer> =>
    api.post("/auth/login", { login: name, password });

  test("an e-mail address is one, whatever the case and the composition of its letters", async () => {
    const email = "\u00c9lodie@example.com";
    await api.must("POST", "/auth/register", { email, username: "elodie", password: PASSWORD });
    for (const same of [email, "\u00e9lodie@EXAMPLE.com", "E\u0301LODIE@example.com", ` ${email} `]) {
      expect((await login(same)).body.user).toMatchObject({ username: "elodie", email });
      const again = await api.post("/auth/register", { email: same, username: "other", password: PASSWORD });
      expect([again.status, again.body.errors[0].pointer]).toEqual([409, "#/email"]);
    }
  });

  test("all spellings of a name share its five guesses", async () => {
    const username = `kim-${newId().slice(-12)}`;
    const email = `${username}@example.com`;
    await api.must("POST", "/auth/register", { email, username, password: PASSWORD });
    const spellings = [username, username.toUpperCase(), username.replace("k", KELVIN)];
    const answers: Answer[] = [];
    for (let at = 0; at < 9; at++) answers.push(await login(spellings[at % 3] as string, "not my password"));
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 429, 429, 429, 429]);
  });

  test("a node waits for the migration that makes the keys as for any other", async () => {
    const client = new pg.Client({ connectionString: database });
    await client.connect();
    try {
      await client.query("DELETE FROM public.migrations WHERE name = '0009-keys.ts'");
      await expect(mustBeMigrated(database)).rejects.toThrow(/lacks 1 migration \(0009-keys\.ts\)/);
      await client.query("INSERT INTO public.migrations (name) VALUES ('0009-keys.ts')");
      await mustBeMigrated(database);
    } finally {
      await client.end();
    }
  });

  test("a category is one, whatever the case and the composition of its letters", async () => {
    const ada = await api.person("ada");
    const color = "#000000";
    const { id } = await ada.api.must("POST", "/categories", { name: COMPOSED, color });
    for (const name of [COMPOSED.toUpperCase(), DECOMPOSED])
      expect((await ada.api.post("/categories", { name, color })).status).toBe(409);
    expect((await ada.api.patch(`/categories/${id}`, { name: COMPOSED.toUpperCase() })).status).toBe(200);
  });

  test("npm run listen writes control characters out, in place of letting the terminal act on them", async () => {
    const ada = await api.person("ada");
    const child = spawn(process.execPath, ["scripts/listen.ts", ada.token, api.url]);
    try {
      let out = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => (out += chunk));
      expect(await until(() => out.includes("ready"), 10_000)).toBe(true);
      await ada.api.must("POST", "/tasks", { title: "a\u001b[2Jb\u202ec\nd" });
      expect(await until(() => out.includes("task_created"), 5000)).toBe(true);
      expect(out).toContain("task_created a\\u{1b}[2Jb\\u{202e}c\\u{a}d\n");
      for (const character of ["\u001b", "\u202e"]) expect(out).not.toContain(character);
    } finally {
      const gone = once(child, "exit");
      child.kill();
      await gone;
    }
  });
});

describe("the migration to keys", () => {
  let client: pg.Client;
  beforeAll(async () => {
    client = new pg.Client({ connectionString: await databaseOfLocaleC() });
    await client.connect();
    const folder = join(import.meta.dirname, "../../migrations");
    const before = (await readdir(folder)).filter((name) => /^\d/.test(name) && name < "0009");
    for (const name of before.sort()) await client.query(await readFile(join(folder, name), "utf8"));
  });
  afterAll(() => client?.end());

  /** Runs it, looks, and undoes it. */
  async function migrated<Result>(look: () => Promise<Result>): Promise<Result> {
    await client.query("BEGIN");
    try {
      await addKeys(client);
      return await look();
    } finally {
      await client.query("ROLLBACK");
    }
  }
  const addUser = async (email: string, username: string): Promise<string> => {
    const id = newId();
    await client.query(
      `INSERT INTO users.users (id, email, username, password_hash, created_at, updated_at)
       VALUES ($1, $2, $3, '', now(), now())`,
      [id, email, username],
    );
    return id;
  };
  const addCategory = (user: string, name: string) =>
    client.query(
      `INSERT INTO tasks.categories (id, user_id, name, color, created_at, updated_at)
       VALUES ($1, $2, $3, '#000000', clock_timestamp(), now())`,
      [newId(), user, name],
    );

  test("fills them, and numbers a category that is another one by its key", async () => {
    const ada = await addUser("\u00c9ve@Example.com", "Eve");
    await addCategory(ada, COMPOSED);
    await addCategory(ada, DECOMPOSED);
    const [user, categories] = await migrated(async () => [
      (await client.query("SELECT email_key, username_key FROM users.users")).rows,
      (await client.query("SELECT name, version FROM tasks.categories ORDER BY created_at")).rows,
    ]);
    expect(user).toEqual([{ email_key: "\u00e9ve@example.com", username_key: "eve" }]);
    expect(categories).toEqual([
      { name: COMPOSED, version: 1 },
      { name: expect.stringMatching(new RegExp(`^${DECOMPOSED} [0-9a-f]{12}$`)), version: 2 },
    ]);
  });

  test("stops at two accounts with one address, and says which by their ids alone", async () => {
    const [one, two] = [
      await addUser("\u00c9@example.com", "one"),
      await addUser("\u00e9@example.com", "two"),
    ];
    const stopped = migrated(() => Promise.resolve());
    await expect(stopped).rejects.toThrow(`The accounts ${one} and ${two} have the same email`);
    await expect(migrated(() => Promise.resolve())).rejects.not.toThrow(/@example/);
    await client.query("DELETE FROM users.users WHERE id = $1", [two]);
    await migrated(() => Promise.resolve());
  });
});
