/**
 * Answers that were worked out before, by Moleculer's cacher: Redis for all nodes, or memory where there is one process.
 *
 * What an answer was made of has names: `task:<id>`, `user:<id>` for what a user may see … A write marks the names that it
 * outdates, after its commit and before its answer; an answer is kept together with the marks that its names had before
 * it was read, and is good as long as they have them still. So whoever was told of a write reads what it wrote, through
 * any node, and an answer that was being read while the write committed is never taken for a new one.
 *
 * An answer that is long costs more memory than it saves time, and is not kept.
 *
 * A mark can get lost: its node dies after the commit, or can't reach Redis. Nothing is kept longer than TTL for that.
 */
import { randomBytes } from "node:crypto";
import type { Service, ServiceBroker, ServiceSchema } from "moleculer";
import type { Actor } from "../core/kit.ts";

/** Seconds that an answer is kept, and that a mark is: longer than any answer that knew of none. */
const TTL = 5;
const MARK_TTL = 60;
/** Milliseconds without the cache after it failed, and until marks that it did not take are tried again. */
const PAUSE = 1000;
const AGAIN = 250;
/** Bytes of JSON that an answer may have: so what bounds the number of answers bounds their bytes too. */
const LONGEST_BYTES = 64_000;

/** What we use of Moleculer's cachers. */
interface Store {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown, ttl: number): Promise<unknown>;
}

interface Entry {
  marks: string;
  value: unknown;
}

/** What the mixin lends. */
export interface WithCache {
  /**
   * The answer under `key`, or what `read` gives.
   * @param key names everything that the answer depends on and the caller chose: who asks, what for
   * @param of the names of what it is made of, all known before it is read
   */
  cached<Value>(key: string, of: readonly string[], read: () => Promise<Value>): Promise<Value>;
  /** The same for things that each have an id, which is also the end of their name: those that are missing are read at once. */
  cachedEach<Value extends { id: string }>(
    kind: string,
    ids: readonly string[],
    read: (missing: string[]) => Promise<Value[]>,
  ): Promise<Value[]>;
  /** To be called after a commit and before its answer. Never throws. */
  outdate(names: readonly string[]): Promise<void>;
}

/** What stands for everything that decides what a caller may see of projects. */
export const viewOf = ({ id, role }: Actor): string[] =>
  role === "user" ? [`user:${id}`] : [`user:${id}`, "projects"];

/** Names the caller in keys. A token that is limited to some projects sees less than its owner does. */
export const viewerOf = ({ id, role, projects, session }: Actor): string =>
  projects === undefined ? `${role}:${id}` : `${role}:${id}:${session}`;

const markOf = (name: string): string => `mark:${name}`;

interface State {
  /** Until when (ms of performance.now) nobody asks the cache, which failed a moment ago. */
  awayUntil: number;
  /** Marks that could not be set, and until when answers may be kept that they outdate: meanwhile this node reads. */
  owed: Map<string, number>;
  timer: NodeJS.Timeout | undefined;
}

type Lends = Service & WithCache & { cacheState: State };

const storeOf = ({ broker }: Service): Store | null => (broker.cacher as Store | undefined) ?? null;

/** What the cache says, or null when it can't: then nobody asks it for a moment. */
async function ask<Answer>(
  service: Lends,
  question: (store: Store) => Promise<Answer>,
): Promise<Answer | null> {
  const store = storeOf(service);
  const { cacheState: state } = service;
  if (store === null || state.owed.size > 0 || performance.now() < state.awayUntil) return null;
  try {
    return await question(store);
  } catch {
    state.awayUntil = performance.now() + PAUSE;
    return null;
  }
}

/** Keeps an answer, unless it is too long. Nobody waits for it. */
function keep(service: Lends, key: string, entry: Entry): void {
  void ask(service, async (store) => {
    if (Buffer.byteLength(JSON.stringify(entry)) <= LONGEST_BYTES) await store.set(key, entry, TTL);
  });
}

/** Sets marks; those that can't be set are owed, and tried again until they don't matter any more. */
async function mark(service: Lends, store: Store, names: Iterable<string>): Promise<void> {
  const { cacheState: state } = service;
  const value = randomBytes(9).toString("base64url");
  const due = [...new Set(names)];
  try {
    await Promise.all(due.map((name) => store.set(markOf(name), value, MARK_TTL)));
    due.forEach((name) => state.owed.delete(name));
  } catch {
    const until = performance.now() + TTL * 1000;
    due.forEach((name) => state.owed.set(name, state.owed.get(name) ?? until));
  }
  for (const [name, until] of state.owed) if (until < performance.now()) state.owed.delete(name);
  if (state.owed.size > 0)
    state.timer ??= setTimeout(() => {
      state.timer = undefined;
      void mark(service, store, state.owed.keys());
    }, AGAIN).unref();
}

/** Counts what was found and what was not (docs/reference.md, Health and metrics). */
function count(broker: ServiceBroker, found: boolean, kind: string): void {
  broker.metrics.increment(found ? "cache.hits" : "cache.misses", { kind });
}

const kindOf = (key: string): string => key.split(":")[0] as string;

/** Lends `cached`, `cachedEach` and `outdate`. Without a cacher everything is read. */
export const cache: Partial<ServiceSchema> = {
  created(this: Service & Partial<Lends>) {
    this.cacheState = { awayUntil: 0, owed: new Map(), timer: undefined };
    const { metrics } = this.broker;
    for (const [name, what] of [
      ["hits", "found"],
      ["misses", "not found, or outdated"],
    ])
      metrics.register({
        type: "counter",
        name: `cache.${name}`,
        labelNames: ["kind"],
        description: `Answers that were ${what} in the cache`,
      });
  },
  stopped(this: Service & Partial<Lends>) {
    clearTimeout(this.cacheState?.timer);
  },
  methods: {
    async cached<Value>(
      this: Lends,
      key: string,
      of: readonly string[],
      read: () => Promise<Value>,
    ): Promise<Value> {
      const found = await ask(this, (store) =>
        Promise.all([store.get(key), ...of.map((name) => store.get(markOf(name)))]),
      );
      if (found === null) return read();
      const [entry, ...each] = found as [Entry | null | undefined, ...(string | null | undefined)[]];
      const marks = each.map((mark) => mark ?? "").join(" ");
      const good = entry != null && entry.marks === marks;
      count(this.broker, good, kindOf(key));
      if (good) return entry.value as Value;
      const value = await read();
      keep(this, key, { marks, value });
      return value;
    },

    async cachedEach<Value extends { id: string }>(
      this: Lends,
      kind: string,
      ids: readonly string[],
      read: (missing: string[]) => Promise<Value[]>,
    ): Promise<Value[]> {
      const names = ids.map((id) => `${kind}:${id}`);
      const found = await ask(this, (store) =>
        Promise.all(names.map((name) => Promise.all([store.get(name), store.get(markOf(name))]))),
      );
      if (found === null) return read([...ids]);
      const states = found as [Entry | null | undefined, string | null | undefined][];
      const good = states.map(([entry, mark]) => entry != null && entry.marks === (mark ?? ""));
      good.forEach((isGood) => count(this.broker, isGood, kind));
      const missing = ids.filter((_id, n) => good[n] !== true);
      const known = states
        .filter((_state, n) => good[n] === true)
        .map(([entry]) => (entry as Entry).value as Value);
      if (missing.length === 0) return known;
      const values = await read(missing);
      for (const value of values) {
        const marks = states[ids.indexOf(value.id)]?.[1] ?? "";
        keep(this, `${kind}:${value.id}`, { marks, value });
      }
      return [...known, ...values];
    },

    async outdate(this: Lends, names: readonly string[]): Promise<void> {
      const store = storeOf(this);
      if (store !== null && names.length > 0) await mark(this, store, names);
    },
  },
};
