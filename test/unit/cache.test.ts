import { afterEach, describe, expect, test } from "@jest/globals";
import { ServiceBroker } from "moleculer";
import { until } from "../../local/until.ts";
import { cache, viewOf, type WithCache } from "../../mixins/cache.ts";
import { actorOf } from "./fixtures.ts";

/** A store that can be made to fail, as Redis does. */
class Store {
  readonly held = new Map<string, { value: unknown; until: number }>();
  fails = false;
  /** Seconds that have passed. */
  now = 0;
  async get(key: string): Promise<unknown> {
    if (this.fails) throw new Error("away");
    const { value, until } = this.held.get(key) ?? { value: undefined, until: Infinity };
    return this.now < until ? value : undefined;
  }
  /** As Moleculer's cachers have it: `ttl` in seconds, for ever without one. */
  async set(key: string, value: unknown, ttl = Infinity): Promise<void> {
    if (this.fails) throw new Error("away");
    this.held.set(key, { value, until: this.now + ttl });
  }
}

const brokers: ServiceBroker[] = [];
afterEach(() => Promise.all(brokers.splice(0).map((broker) => broker.stop())));

/** A node that keeps answers in `store`. */
async function node(store: Store | null): Promise<WithCache> {
  const broker = new ServiceBroker({ logger: false });
  if (store !== null)
    (broker as { cacher?: unknown }).cacher = Object.assign(store, { close: async () => {} });
  const service = broker.createService({ name: "any", mixins: [cache] });
  brokers.push(broker);
  await broker.start();
  return service as unknown as WithCache;
}

/** Reads of a row that changes. */
function row() {
  const state = { value: 1, reads: 0 };
  return Object.assign(state, { read: async () => (state.reads++, state.value) });
}

describe("an answer", () => {
  test("is read once, by all nodes together", async () => {
    const store = new Store();
    const [one, two] = [await node(store), await node(store)];
    const source = row();
    for (const each of [one, two, one]) expect(await each.cached("kind:key", ["name"], source.read)).toBe(1);
    expect(source.reads).toBe(1);
  });

  test("is read anew once a name that it was made of was outdated, by whichever node", async () => {
    const store = new Store();
    const [one, two] = [await node(store), await node(store)];
    const source = row();
    await one.cached("kind:key", ["task:1", "user:1"], source.read);
    source.value = 2;
    await two.outdate(["user:1"]);
    expect(await one.cached("kind:key", ["task:1", "user:1"], source.read)).toBe(2);
    expect(await two.cached("kind:key", ["task:1", "user:1"], source.read)).toBe(2);
    expect(source.reads).toBe(2);
  });

  test("that was being read while a write committed is not taken for a new one", async () => {
    const [one, two] = [new Store()].flatMap((store) => [node(store), node(store)]);
    const [reader, writer] = [await one!, await two!];
    const old = await reader.cached("kind:key", ["name"], async () => {
      await writer.outdate(["name"]);
      return "old";
    });
    expect(old).toBe("old");
    expect(await reader.cached("kind:key", ["name"], async () => "new")).toBe("new");
  });

  test("that is too long to be kept is read each time", async () => {
    const one = await node(new Store());
    // Of 64 kB, in a third as many characters.
    const long = { id: "long", text: "€".repeat(21_400) };
    let reads = 0;
    const read = async () => (reads++, long);
    for (let n = 0; n < 2; n++) expect(await one.cached("kind:key", ["name"], read)).toBe(long);
    for (let n = 0; n < 2; n++)
      expect(await one.cachedEach("kind", ["long"], async () => [await read()])).toEqual([long]);
    expect(reads).toBe(4);
  });

  test("is kept for five seconds, should the mark that outdates it get lost", async () => {
    const store = new Store();
    const one = await node(store);
    const source = row();
    await one.cached("kind:key", ["name"], source.read);
    source.value = 2;
    store.now = 4.9;
    expect(await one.cached("kind:key", ["name"], source.read)).toBe(1);
    store.now = 5;
    expect(await one.cached("kind:key", ["name"], source.read)).toBe(2);
  });

  test("is outdated for longer than any answer is kept that was read before", async () => {
    const store = new Store();
    const [one, two] = [await node(store), await node(store)];
    const source = row();
    await one.cachedEach("kind", ["a"], async () => {
      // Read before the write, and kept long after it.
      await two.outdate(["kind:a"]);
      store.now = 54;
      return [{ id: "a", value: source.value }];
    });
    source.value = 2;
    store.now = 58;
    const read = async () => [{ id: "a", value: await source.read() }];
    expect(await two.cachedEach("kind", ["a"], read)).toEqual([{ id: "a", value: 2 }]);
  });

  test("of one person is not another's", async () => {
    const one = await node(new Store());
    expect(await one.cached("kind:ada", ["name"], async () => "ada's")).toBe("ada's");
    expect(await one.cached("kind:ben", ["name"], async () => "ben's")).toBe("ben's");
  });

  test("that failed is not kept", async () => {
    const one = await node(new Store());
    await expect(one.cached("kind:key", [], () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await one.cached("kind:key", [], async () => 1)).toBe(1);
  });

  test("is read where there is no cache, or it is away", async () => {
    const store = Object.assign(new Store(), { fails: true });
    for (const each of [await node(null), await node(store)]) {
      const source = row();
      await each.cached("kind:key", ["name"], source.read);
      await each.outdate(["name"]);
      await each.cached("kind:key", ["name"], source.read);
      expect(source.reads).toBe(2);
    }
  });

  test("that a write could not outdate is not taken by its node, and outdated once the cache is back", async () => {
    const store = new Store();
    const [one, two] = [await node(store), await node(store)];
    const source = row();
    await one.cached("kind:key", ["name"], source.read);
    source.value = 2;
    store.fails = true;
    await one.outdate(["name"]);
    store.fails = false;
    expect(await one.cached("kind:key", ["name"], source.read)).toBe(2);
    expect(await until(() => store.held.has("mark:name"), 5000)).toBe(true);
    expect(await two.cached("kind:key", ["name"], source.read)).toBe(2);
  });
});

describe("things with ids", () => {
  const people = (...ids: string[]) => ids.map((id) => ({ id }));

  test("are read together, those that are missing", async () => {
    const one = await node(new Store());
    const asked: string[][] = [];
    const read = async (ids: string[]) => (asked.push(ids), people(...ids.filter((id) => id !== "nobody")));
    expect(await one.cachedEach("person", ["a", "b", "nobody"], read)).toEqual(people("a", "b"));
    expect(await one.cachedEach("person", ["a", "c"], read)).toEqual(people("a", "c"));
    await one.outdate(["person:a"]);
    expect(await one.cachedEach("person", ["a", "b"], read)).toEqual(people("b", "a"));
    expect(asked).toEqual([["a", "b", "nobody"], ["c"], ["a"]]);
  });

  test("are all read while the cache is away", async () => {
    const one = await node(Object.assign(new Store(), { fails: true }));
    const read = async (ids: string[]) => people(...ids);
    expect(await one.cachedEach("person", ["a", "b"], read)).toEqual(people("a", "b"));
  });
});

test("what somebody sees of projects hangs on their memberships, and for who sees all on every project", () => {
  const user = actorOf("user");
  expect(viewOf(user)).toEqual([`user:${user.id}`]);
  expect(viewOf({ ...user, role: "manager" })).toEqual([`user:${user.id}`, "projects"]);
});
