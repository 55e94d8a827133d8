import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { ServiceBroker } from "moleculer";
import { loadConfig } from "../../core/config.ts";
import { loggerOptions, type OnError } from "../../core/logger.ts";
import { until } from "../../local/until.ts";

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

test("lines are written together soon, a warning at once with those before it, and the last ones at the end", async () => {
  const file = fileURLToPath(new URL("../../core/logger.ts", import.meta.url));
  const program = `
    import { ServiceBroker } from "moleculer";
    import { loggerOptions } from ${JSON.stringify(file)};
    const logger = await loggerOptions({ LOG_JSON: "true", LOG_LEVEL: "info" });
    const log = new ServiceBroker({ logger }).getLogger("tasks");
    log.info("first");
    process.stdin.once("data", () => {
      log.info("second");
      log.warn("third");
      process.stdin.once("data", () => {
        log.info("last");
        process.exit();
      });
    });`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const chunks: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
  const closed = once(child, "close");
  const says = (text: string) => until(() => chunks.join("").includes(text), 10_000);
  expect(await says("first")).toBe(true);
  child.stdin.write("on");
  expect(await says("third")).toBe(true);
  child.stdin.write("on");
  await closed;
  const words = chunks.join("").match(/(?<="msg":")(first|second|third|last)/g);
  expect(words).toEqual(["first", "second", "third", "last"]);
  // One write has both.
  expect(chunks.find((chunk) => chunk.includes("second"))).toContain("third");
});
