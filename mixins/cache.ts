/**
 * A cache of answers in Moleculer's cacher: Redis for all nodes, or memory where one process is all there is.
 *
 * An answer depends on names: `task:<id>`, `user:<id>` for what a user may see, and so on. A write sets a new mark on each
 * name that it outdates, after its commit and before its answer. The cache stores an answer with the marks that its names
 * had before it was read, and the answer is fresh as long as the names still have these marks. So a client whose write was
 * answered reads what it wrote, through any node, and an answer that was read during the commit counts as outdated.
 *
 * A long answer costs more memory than it saves time, so it is not stored.
 *
 * A mark is lost when its node dies after the commit or can't reach Redis. Therefore no answer is stored longer than TTL_S.
 */
import { randomBytes } from "node:crypto";
import type { Service, ServiceSchema } from "moleculer";
import type { Counter } from "prom-client";
import type { Actor } from "../core/kit.ts";
import { metricsOf } from "../core/metrics.ts";
import { traced } from "../core/trace.ts";

/** Seconds that an answer is stored. */
const TTL_S = 5;
/** Seconds that a mark is stored: longer than any answer that was read before the mark was set. */
const MARK_TTL_S = 60;
/** Milliseconds in which the node does not use the cache after it failed. */
const PAUSE_MS = 1000;
/** Milliseconds until the node sets marks again that the cache did not take. */
const RETRY_MS = 250;
/** Bytes of JSON that an answer may have: with it, a bound on the number of answers bounds their bytes too. */
const MAX_ANSWER_BYTES = 64_000;

/** The part of Moleculer's cachers that the mixin uses. */
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
   * The fresh answer under `key`, or else the result of `read`.
   * @param key names the caller and everything that the caller asked for
   * @param of the names that the answer depends on, all known before it is read
   */
  cached<Value>(key: string, of: readonly string[], read: () => Promise<Value>): Promise<Value>;
  /** The same for things named `<kind>:<id>`. One `read` gets all that are missing. */
  cachedEach<Value extends { id: string }>(
    kind: string,
    ids: readonly string[],
    read: (missing: string[]) => Promise<Value[]>,
  ): Promise<Value[]>;
  /** Sets new marks. A write calls it after its commit and before its answer. Never throws. */
  outdate(names: readonly string[]): Promise<void>;
}

/** The names that decide what a caller may see of projects. */
export const viewOf = ({ id, role }: Actor): string[] =>
  role === "user" ? [`user:${id}`] : [`user:${id}`, "projects"];

/** Names the caller in keys. A token that is limited to some projects sees less than its owner. */
export const viewerOf = ({ id, role, projects, session }: Actor): string =>
  projects === undefined ? `${role}:${id}` : `${role}:${id}:${session}`;

const markOf = (name: string): string => `mark:${name}`;

interface State {
  /** The node does not use the cache, which failed, before this time of performance.now. */
  awayUntil: number;
  /** Names whose marks the node could not set, with the time when their last outdated answer expires. Until then it reads. */
  owed: Map<string, number>;
  timer: NodeJS.Timeout | undefined;
}

type Lends = Service &
  WithCache & { cacheState: State; cacheCounts: Record<"hits" | "misses", Counter<"kind">> };

const storeOf = ({ broker }: Service): Store | null => (broker.cacher as Store | undefined) ?? null;

/** The cache's reply, or null when it fails: the node then pauses its use. */
async function ask<Answer>(
  service: Lends,
  question: (store: Store) => Promise<Answer>,
): Promise<Answer | null> {
  const store = storeOf(service);
  const { cacheState: state } = service;
  if (store === null || state.owed.size > 0 || performance.now() < state.awayUntil) return null;
  try {
    return await traced("cache", "client", {}, () => question(store));
  } catch {
    state.awayUntil = performance.now() + PAUSE_MS;
    return null;
  }
}

/** Stores an answer, unless it is too long, in the background. */
function keep(service: Lends, key: string, entry: Entry): void {
  void ask(service, async (store) => {
    if (Buffer.byteLength(JSON.stringify(entry)) <= MAX_ANSWER_BYTES) await store.set(key, entry, TTL_S);
  });
}

/** Sets marks. The node tries failed ones again until the answers that they outdate have expired. */
async function mark(service: Lends, store: Store, names: Iterable<string>): Promise<void> {
  const { cacheState: state } = service;
  const value = randomBytes(9).toString("base64url");
  const due = [...new Set(names)];
  try {
    await traced("cache outdate", "client", { names: due.length }, () =>
      Promise.all(due.map((name) => store.set(markOf(name), value, MARK_TTL_S))),
    );
    due.forEach((name) => state.owed.delete(name));
  } catch {
    const until = performance.now() + TTL_S * 1000;
    due.forEach((name) => state.owed.set(name, state.owed.get(name) ?? until));
  }
  for (const [name, until] of state.owed) if (until < performance.now()) state.owed.delete(name);
  if (state.owed.size > 0)
    state.timer ??= setTimeout(() => {
      state.timer = undefined;
      void mark(service, store, state.owed.keys());
    }, RETRY_MS).unref();
}

/** Counts answers that were found, and those that were not or were outdated (docs/metrics.md). */
const count = ({ cacheCounts }: Lends, found: boolean, kind: string): void =>
  cacheCounts[found ? "hits" : "misses"].inc({ kind });

const kindOf = (key: string): string => key.split(":")[0] as string;

/** Lends `cached`, `cachedEach` and `outdate`. Without a cacher, every answer is read. */
export const cache: Partial<ServiceSchema> = {
  created(this: Service & Partial<Lends>) {
    this.cacheState = { awayUntil: 0, owed: new Map(), timer: undefined };
    const metrics = metricsOf(this.broker);
    const counter = (name: string, help: string) => metrics.counter(name, help, ["kind"]);
    this.cacheCounts = {
      hits: counter("taskwire_cache_hits_total", "Answers that were found in the cache"),
      misses: counter("taskwire_cache_misses_total", "Answers that were not found, or outdated"),
    };
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
      count(this, good, kindOf(key));
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
      good.forEach((isGood) => count(this, isGood, kind));
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
