import { expect, test } from "@jest/globals";
import { ServiceBroker } from "moleculer";
import { loadConfig } from "../../core/config.ts";
import { loggerOptions, type OnError } from "../../core/logger.ts";

/** A broker that logs as a node does, and what it has logged. */
async function openLogger(onError?: OnError) {
  const config = loadConfig({ NODE_ENV: "test", LOG_LEVEL: "trace", LOG_JSON: "true" });
  const { type, options } = await loggerOptions(config, onError);
  const { pino } = options as { pino: object };
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) };
  const logger = { type, options: { ...options, pino: { ...pino, destination } } };
  const broker = new ServiceBroker({ logger });
  lines.length = 0;
  return { log: broker.getLogger("tasks"), lines };
}

const HUSH = {
  email: "hush@example.com",
  password: "hush",
  nested: { access_token: "hush", list: ["Bearer hush", { title: "hush" }] },
  note: "hush@example.com asked, postgres://hush:hush@db/x answered",
};

test.each<[string, unknown[]]>([
  ["fields before the message", [HUSH, "found"]],
  ["fields after it", ["found", HUSH]],
  ["two objects of fields", [{ a: 1 }, "found", HUSH]],
  ["the words of the message", ["found", "hush@example.com", "Bearer hush", { user_id: "7" }]],
  ["an error, and what hangs on it", ["found", Object.assign(new Error("no hush@example.com"), HUSH)]],
])("%s reach no line with a secret in it", async (_what, args) => {
  const { log, lines } = await openLogger();
  for (const level of ["trace", "debug", "info", "warn", "error"] as const) log[level](...args);
  expect(lines.map(({ level }) => level)).toEqual(["trace", "debug", "info", "warn", "error"]);
  for (const line of lines) {
    expect(line.msg).toMatch(/^found/);
    expect(JSON.stringify(line)).toContain("[redacted]");
    expect(JSON.stringify(line)).not.toContain("hush");
  }
});

test("fields that are no secrets are logged as they are, beside the message and the error", async () => {
  const reported: unknown[] = [];
  const { log, lines } = await openLogger((error, origin) => reported.push(error.message, origin));
  const fields = { route: "/tasks/:id", status: 500, action: "tasks.get", user_id: "7" };
  log.error(fields, "a request failed", new Error("no column"));
  expect(lines).toEqual([
    expect.objectContaining({
      ...fields,
      level: "error",
      msg: "a request failed",
      err: expect.objectContaining({ type: "Error", message: "no column" }),
    }),
  ]);
  expect(reported).toEqual(["no column", { service: "tasks", action: "tasks.get" }]);
});
