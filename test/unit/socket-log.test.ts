import { expect, test } from "@jest/globals";
import type { ClientSocket } from "../../services/notifier/sockets.ts";
import { SocketLog } from "../../services/notifier/socket-log.ts";
import { until } from "../../local/until.ts";

const socket = { id: "s", data: {}, conn: { transport: { name: "polling" } } } as unknown as ClientSocket;

test("a flood of refused handshakes is logged in part, and the next line counts the rest", async () => {
  const lines: [level: string, fields: Record<string, unknown>][] = [];
  const at = (level: string) => (fields: Record<string, unknown>) => void lines.push([level, fields]);
  const log = new SocketLog({ debug: at("debug"), info: at("info"), warn: at("warn") } as never);
  const refuse = () => log.handshake(socket, "refused", "invalid-token", performance.now());
  for (let n = 0; n < 1000; n++) refuse();
  const logged = lines.length;
  expect(logged).toBeGreaterThanOrEqual(200);
  expect(logged).toBeLessThan(300);
  // An admission is no stranger's.
  log.handshake(socket, "admitted", null, performance.now());
  expect(lines.at(-1)).toMatchObject(["info", { outcome: "admitted" }]);
  let refused = 1000;
  expect(await until(() => (refuse(), (refused += 1), lines.length > logged + 1), 1000)).toBe(true);
  // On a slow machine one or two lines come in between.
  const counted = lines.map(([, { unlogged = 0 }]) => unlogged as number);
  expect(counted.reduce((sum, count) => sum + count, lines.length - 1)).toBe(refused);
});

test.each([
  ["refused", "rate-limited", "info"],
  ["failed", "overloaded", "warn"],
  ["failed", "internal-error", "warn"],
] as const)("a handshake that %s by %s is logged at %s", (outcome, problem, expected) => {
  const levels: string[] = [];
  const at = (level: string) => () => void levels.push(level);
  const log = new SocketLog({ debug: at("debug"), info: at("info"), warn: at("warn") } as never);
  log.handshake(socket, outcome, problem, performance.now());
  expect(levels).toEqual([expected]);
});
