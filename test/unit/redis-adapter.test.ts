import { afterEach, expect, test } from "@jest/globals";
import { EventEmitter } from "node:events";
import { until } from "../../local/until.ts";
import { type RedisAdapter, useRedisAdapter } from "../../services/notifier/redis-adapter.ts";

let adapter: RedisAdapter | undefined;
afterEach(() => adapter?.close());

test("without Redis notifiers go by the log alone: one warning, nothing waits, nothing fails", async () => {
  const warnings: string[] = [];
  const shared: unknown[] = [];
  const io = Object.assign(new EventEmitter(), {
    adapter: () => {},
    serverSideEmit: (name: string, events: unknown) => shared.push([name, events]),
  });
  const heard: unknown[] = [];
  const log = { warn: (line: string) => warnings.push(line), info: () => {} };
  adapter = useRedisAdapter("redis://127.0.0.1:1", "test", io as never, log as never, (events) =>
    heard.push(events),
  );
  expect(await until(() => warnings.length > 0, 5000)).toBe(true);
  adapter.share([]);
  io.emit("hints", []);
  expect([shared, heard]).toEqual([[["hints", []]], [[]]]);
  expect(warnings).toEqual([expect.stringMatching(/^Redis is away, notifiers go by the log alone/)]);
});
