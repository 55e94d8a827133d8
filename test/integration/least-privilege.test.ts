import { readFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { ServiceBroker } from "moleculer";
import pg from "pg";
import { SMTPServer } from "smtp-server";
import { type Config, SERVICES } from "../../core/config.ts";
import { until } from "../../local/until.ts";
import { JobQueues } from "../../mixins/job-queues.ts";
import { startNode } from "../../node.ts";
import { Api } from "../support/api.ts";
import { freshDatabase } from "../support/database.ts";
import { testConfig } from "../support/node.ts";

/** Every service as the role that docs/security.md makes: it reads and writes rows, and creates nothing. */
let admin: pg.Client;
let config: Config;
let broker: ServiceBroker | undefined;
let mails = 0;
const smtp = new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS"],
  onData(stream, _session, done) {
    stream.resume().on("end", () => {
      mails += 1;
      done();
    });
  },
});

/** The statements of the section "The role of the nodes in Postgres", as an operator pastes them. */
async function grants(): Promise<string> {
  const page = await readFile(new URL("../../docs/security.md", import.meta.url), "utf8");
  const [, section = ""] = page.split("## The role of the nodes in Postgres");
  return /```sql\n(.*?)```/s.exec(section)?.[1] ?? "";
}

beforeAll(async () => {
  await new Promise<void>((resolve) => smtp.listen(0, "127.0.0.1", resolve));
  const url = new URL(await freshDatabase());
  admin = new pg.Client({ connectionString: url.href });
  await admin.connect();
  await admin.query(await grants());
  // Also a CREATE … IF NOT EXISTS that finds what it would make is refused.
  await admin.query(`
    CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF session_user = 'taskwire_node' THEN RAISE EXCEPTION 'a node ran %', tg_tag; END IF;
      END $$;
    CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION public.refuse()`);
  [url.username, url.password] = ["taskwire_node", "choose one"];
  config = testConfig(url.href, {
    SERVICES: [...SERVICES],
    SMTP_URL: `smtp://127.0.0.1:${(smtp.server.address() as AddressInfo).port}`,
  });
  broker = await startNode(config);
});
afterAll(async () => {
  await broker?.stop();
  await admin?.query("DROP OWNED BY taskwire_node; DROP ROLE IF EXISTS taskwire_node");
  await admin?.end();
  await new Promise<void>((resolve) => smtp.close(() => resolve()));
});

test("a node with all services works as a role that may create nothing", async () => {
  const { server } = broker!.getLocalService("api-gateway") as unknown as { server: Server };
  const api = new Api(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const ada = await api.person("ada");
  const project = await ada.api.must("POST", "/projects", { name: "Least" });
  const task = await ada.api.must("POST", `/projects/${project.id}/tasks`, { title: "Privilege" });
  await ada.api.must("POST", `/tasks/${task.id}/comments`, { body: "Enough" });
  await ada.api.must("PATCH", `/users/${ada.id}`, { first_name: "Ada" });
  await ada.api.must("DELETE", `/tasks/${task.id}`);
  // The mail of the registration, by way of the queue, and the schedules.
  expect(await until(() => mails > 0, 10_000)).toBe(true);
  const scheduled = async () => (await admin.query("SELECT FROM jobs.schedule")).rows.length;
  expect(await until(async () => (await scheduled()) >= 4, 10_000)).toBe(true);
});

test("what pg-boss sweeps from time to time it sweeps as that role, too", async () => {
  const complaints: unknown[] = [];
  const log = {
    warn: (...args: unknown[]) => void complaints.push(args),
    error: (...args: unknown[]) => void complaints.push(args),
  };
  const queues = new JobQueues(config, {
    label: "sweeps",
    log,
    graceMs: 100,
    cronCheckSeconds: 30,
    setUp: async () => {},
  });
  try {
    expect(await queues.waitUntilOpen(10_000)).toBe(true);
    await queues.pgBoss.supervise();
  } finally {
    await queues.stop();
  }
  expect(complaints).toEqual([]);
});

test.each([
  "CREATE TABLE public.mine (id int)",
  "CREATE TABLE tasks.mine (id int)",
  "CREATE SCHEMA mine",
  "ALTER TABLE tasks.tasks ADD COLUMN mine int",
  "DROP TABLE events.log",
  "TRUNCATE events.log",
])("that role may not %s", async (text) => {
  await admin.query("SET ROLE taskwire_node");
  try {
    await expect(admin.query(text)).rejects.toMatchObject({ code: "42501" });
  } finally {
    await admin.query("RESET ROLE");
  }
});

test("a node makes no table, not even one that is missing, whatever its role may do", async () => {
  await admin.query("ALTER TABLE users.users RENAME TO others");
  const url = new URL(config.DATABASE_URL);
  const { username, password } = new URL(process.env.TEST_POSTGRES_URL as string);
  Object.assign(url, { username, password });
  const node = await startNode(testConfig(url.href, { SERVICES: ["users"] }));
  await node.stop();
  const { rows } = await admin.query("SELECT to_regclass('users.users') AS found");
  expect(rows).toEqual([{ found: null }]);
});
