import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { startRedis } from "../../local/redis.ts";
import { until } from "../../local/until.ts";
import { type AnswerStore, MemoryAnswers, RedisAnswers } from "../../mixins/cache-store.ts";

let server: Awaited<ReturnType<typeof startRedis>>;
let redis: Redis;
let stores: Record<"Redis" | "memory", AnswerStore>;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { retryStrategy: () => 50 });
  redis.on("error", () => {});
  stores = { Redis: new RedisAnswers(redis, "TW"), memory: new MemoryAnswers() };
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});

const TEXT = '{"title":"ü\\n"}\nas it was';
const question = (key: string, names: string[] = [], viewer = "ada") => ({
  key,
  viewer,
  user: `user:${viewer}`,
  names,
});

/** Reads through a store, as a gateway does. @returns whether the answer came out of it */
async function hits(
  store: AnswerStore,
  key: string,
  names: string[],
  { viewer = "ada", realm }: { viewer?: string; realm?: string } = {},
): Promise<boolean> {
  const asked = question(key, names, viewer);
  const found = await store.find("epoch", asked);
  if ("text" in found) {
    expect(found.text).toBe(TEXT);
    return true;
  }
  await store.keep("epoch", asked, found.clock, {
    names: [],
    text: TEXT,
    ...(realm !== undefined && { realm }),
  });
  return false;
}

describe.each(["Redis", "memory"] as const)("in %s", (kind) => {
  test("an answer is found until one of its names is written, under its own key and in its own epoch", async () => {
    const store = stores[kind];
    for (const expected of [false, true]) expect(await hits(store, "a", ["task:1", "user:1"])).toBe(expected);
    expect(await store.find("epoch", question("b", ["task:1"]))).not.toHaveProperty("text");
    expect(await store.find("another", question("a", ["task:1"]))).not.toHaveProperty("text");
    await store.begin("epoch", ["task:1"], "write");
    for (const expected of [false, false])
      expect(await hits(store, "a", ["task:1", "user:1"])).toBe(expected);
    await store.end("epoch", ["task:1"], "write");
    for (const expected of [false, true]) expect(await hits(store, "a", ["task:1", "user:1"])).toBe(expected);
  });

  test("of two writes of a name, the one that ends first does not end the other", async () => {
    const store = stores[kind];
    await store.begin("epoch", ["task:2"], "one");
    await store.begin("epoch", ["task:2"], "two");
    await store.end("epoch", ["task:2"], "one");
    for (const expected of [false, false]) expect(await hits(store, "c", ["task:2"])).toBe(expected);
    await store.end("epoch", ["task:2"], "two");
    for (const expected of [false, true]) expect(await hits(store, "c", ["task:2"])).toBe(expected);
  });

  test("an answer that was read before a write is not kept after it", async () => {
    const store = stores[kind];
    const found = (await store.find("epoch", question("d", ["task:3"]))) as { clock: number };
    await store.begin("epoch", ["task:3"], "write");
    await store.end("epoch", ["task:3"], "write");
    await store.keep("epoch", question("d", ["task:3"]), found.clock, { names: [], text: "old" });
    expect(await store.find("epoch", question("d", ["task:3"]))).not.toHaveProperty("text");
  });

  test("a shared answer is found by those who have read in its realm, until their rights change", async () => {
    const store = stores[kind];
    const [ada, ben] = [
      { viewer: "ada", realm: "project:1" },
      { viewer: "ben", realm: "project:1" },
    ];
    // The realm gets its mark when the first answer is to be kept.
    for (const expected of [false, false, true])
      expect(await hits(store, "f", ["task:6"], ada)).toBe(expected);
    for (const expected of [false, true]) expect(await hits(store, "f", ["task:6"], ben)).toBe(expected);
    // Ben has read another task of the project: he may see all of them.
    for (const expected of [false, true]) expect(await hits(store, "g", ["task:7"], ada)).toBe(expected);
    expect(await hits(store, "g", ["task:7"], ben)).toBe(true);
    await store.begin("epoch", ["user:ben"], "removal");
    await store.end("epoch", ["user:ben"], "removal");
    expect(await store.find("epoch", question("f", ["task:6"], "ben"))).not.toHaveProperty("text");
    expect(await hits(store, "f", ["task:6"], ada)).toBe(true);
    await store.begin("epoch", ["project:1"], "deletion");
    await store.end("epoch", ["project:1"], "deletion");
    expect(await store.find("epoch", question("f", ["task:6"]))).not.toHaveProperty("text");
  });
});

test("a mark, or the clock, that Redis has evicted makes no answer fresh", async () => {
  const store = stores.Redis;
  for (const expected of [false, true]) expect(await hits(store, "e", ["task:4"])).toBe(expected);
  await store.begin("epoch", ["task:4"], "write");
  await redis.del("TW:epoch:task:4", "TW:epoch:clock");
  for (const expected of [false, true]) expect(await hits(store, "e", ["task:4"])).toBe(expected);
  await redis.del("TW:epoch:clock");
  await store.begin("epoch", ["task:4"], "another");
  await store.end("epoch", ["task:4"], "another");
  expect(await hits(store, "e", ["task:4"])).toBe(false);
});

test("a Redis that was started again is another store", async () => {
  const { id } = stores.Redis;
  expect(id).toMatch(/^[0-9a-f]{40}\/\d+$/);
  await server.kill();
  expect(await until(() => stores.Redis.id === null, 5000)).toBe(true);
  await server.restart();
  expect(await until(() => stores.Redis.id !== null, 5000)).toBe(true);
  expect(stores.Redis.id).not.toBe(id);
});
