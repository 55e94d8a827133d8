import { afterEach, describe, expect, test } from "@jest/globals";
import { EventEmitter } from "node:events";
import { until } from "../../local/until.ts";
import { isSharer, type RedisAdapter, useRedisAdapter } from "../../services/notifier/redis-adapter.ts";

let adapter: RedisAdapter | undefined;
afterEach(() => adapter?.close());

test("without Redis notifiers go by the log alone: one warning, nothing waits, nothing fails", async () => {
  const warnings: string[] = [];
  const shared: unknown[] = [];
  const io = Object.assign(new EventEmitter(), {
    adapter: () => {},
    serverSideEmit: (name: string, events: unknown) => shared.push([name, events]),
  });
  const heard: string[] = [];
  const log = { warn: (line: string) => warnings.push(line), info: () => {} };
  adapter = useRedisAdapter("redis://127.0.0.1:1", "test", io as never, log as never, ({ first }) =>
    heard.push(first),
  );
  expect(await until(() => warnings.length > 0, 5000)).toBe(true);
  const hints = ["one", "two"].map((first) => ({ $json: "[]", streams: [], first }));
  for (const hint of hints) adapter.share(hint);
  // Those of a moment go together.
  expect(await until(() => shared.length > 0, 5000)).toBe(true);
  expect(shared).toEqual([["shared-hints", hints.map((hint) => [hint, null])]]);
  io.emit(...(shared[0] as [string, unknown]));
  expect(heard).toEqual(["one", "two"]);
  expect(warnings).toEqual([expect.stringMatching(/^Redis is away, notifiers go by the log alone/)]);
});

describe("of the notifiers one shares a hint", () => {
  const hint = (digits: string) => ({ first: `0198c0de-0000-7000-8000-000000${digits}` });

  test("the same whoever asks, and each in its turn", () => {
    const nodes = ["b", "a", "c"];
    const sharers = ["000000", "000001", "000002", "000003"].map((digits) =>
      nodes.filter((node) => isSharer(node, nodes, hint(digits))),
    );
    expect(sharers).toEqual([["a"], ["b"], ["c"], ["a"]]);
  });

  test("nobody where no other is known", () => {
    expect([isSharer("a", [], hint("000000")), isSharer("a", ["a"], hint("000000"))]).toEqual([false, false]);
  });
});
