/**
 * Writers and gateways over a cache, in the order that a seed says: each message to the store and to Postgres, and each
 * answer, waits for its turn. Meanwhile writers die, the store restarts empty or is cut off from nodes, and time passes. A
 * read that begins after a write was answered must see it.
 */
import { CacheAgreement } from "../../mixins/cache-agreement.ts";
import { AnswerCache } from "../../mixins/cache.ts";
import { type AnswerStore, MemoryAnswers } from "../../mixins/cache-store.ts";

const NAMES = ["task:1"];
const QUESTION = { key: "key", viewer: "viewer", user: "user:1", names: NAMES };
const STEPS = 250;

/** mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Lets all promises go on that have something to go on with. */
const settle = async (): Promise<void> => {
  for (let n = 0; n < 15; n++) await Promise.resolve();
};

class Turns {
  readonly #waiting: (() => void)[] = [];
  take(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
  release(random: () => number): void {
    const at = Math.floor(random() * this.#waiting.length);
    this.#waiting.splice(at, 1)[0]?.();
  }
}

/** Postgres: a row whose value is the number of its writes, and the row of the agreement. */
class Postgres {
  value = 0;
  readonly interruptions = 0;
  #row: { store: string; epoch: string; until: number } | null = null;
  #epochs = 0;
  readonly #turns: Turns;
  constructor(turns: Turns) {
    this.#turns = turns;
  }
  async query<Row extends object>({
    name,
    values = [],
  }: {
    name: string;
    values?: unknown[];
  }): Promise<Row[]> {
    await this.#turns.take();
    const rows = this.#run(name, values as [string & number, string, number]);
    await this.#turns.take();
    return rows as Row[];
  }
  #run(name: string, values: [string & number, string, number]): object[] {
    const now = performance.now();
    const begin = (store: string, ms: number): void => {
      const until = Math.max(this.#row?.until ?? 0, now + ms);
      this.#row = { store, epoch: `epoch-${(this.#epochs += 1)}`, until };
    };
    if (name === "cache-suspend") begin(this.#row?.store ?? "", values[0]);
    if (name === "cache-claim") {
      if (this.#row !== null && this.#row.store !== values[1]) return [];
      begin(values[0], this.#row === null ? 0 : values[2]);
    }
    if (this.#row === null) return [];
    const { store, epoch, until } = this.#row;
    return [{ store, epoch, ms: Math.max(0, until - now) }];
  }
}

/** The store that all nodes connect to. An earlier one is dead, or goes on for those who are still connected to it. */
interface Shared {
  store: MemoryAnswers;
  readonly dead: Set<MemoryAnswers>;
}

/** A node's connection to the store: messages arrive in the order in which they were sent, and nothing else is certain. */
class Link implements AnswerStore {
  #begun: Promise<void> | null = null;
  #connected: MemoryAnswers | null;
  #last: Promise<unknown> = Promise.resolve();
  readonly #shared: Shared;
  readonly #turns: Turns;
  constructor(shared: Shared, turns: Turns) {
    this.#shared = shared;
    this.#turns = turns;
    this.#connected = shared.store;
  }
  get id(): string | null {
    return this.#connected?.id ?? null;
  }
  async identified(): Promise<void> {}
  cut(): void {
    this.#connected = null;
  }
  connect(): void {
    this.#connected = this.#shared.store;
  }
  find: AnswerStore["find"] = (...args) => this.#send((store) => store.find(...args));
  keep: AnswerStore["keep"] = (...args) => this.#send((store) => store.keep(...args));
  /** The write that has just begun over this connection, until Redis confirms it. */
  takeBegun(): Promise<void> | null {
    const begun = this.#begun;
    this.#begun = null;
    return begun;
  }
  begin: AnswerStore["begin"] = (...args) => (this.#begun = this.#send((store) => store.begin(...args)));
  end: AnswerStore["end"] = (...args) => this.#send((store) => store.end(...args));
  async #send<Result>(ask: (store: MemoryAnswers) => Promise<Result>): Promise<Result> {
    const sentTo = this.#connected;
    if (sentTo === null) throw new Error("away");
    const done = this.#last
      .then(() => this.#turns.take())
      .then(() => (this.#shared.dead.has(sentTo) ? Promise.reject(new Error("gone")) : ask(sentTo)));
    this.#last = done.catch(() => {});
    const result = await done;
    await this.#turns.take();
    if (this.#connected !== sentTo) throw new Error("the answer was lost");
    return result;
  }
}

/** What became of one order. */
export interface Outcome {
  hits: number;
  /** Writes that were answered. */
  answered: number;
  /** Reads that saw less than what was answered before they began. */
  stale: string[];
}

/** Plays the order of a seed. @param advance lets fake time pass, in milliseconds */
export async function playCacheSchedule(seed: number, advance: (ms: number) => void): Promise<Outcome> {
  const random = randomOf(seed);
  const turns = new Turns();
  const db = new Postgres(turns);
  const shared: Shared = { store: new MemoryAnswers(), dead: new Set() };
  const links: Link[] = [];
  const agreements: CacheAgreement[] = [];
  const node = (): { cache: AnswerCache; link: Link } => {
    const link = new Link(shared, turns);
    const agreement = new CacheAgreement(db, link, { warn: () => {} });
    links.push(link);
    agreements.push(agreement);
    void agreement.start();
    const counter = { inc: () => {} } as never;
    return { cache: new AnswerCache(link, agreement, { hits: counter, misses: counter }), link };
  };
  const [gateways, writers] = [
    [node(), node()],
    [node(), node()],
  ];
  const [hasFaults, hasParts, hasDeaths] = [random() < 0.5, random() < 0.5, random() < 0.5];
  const outcome: Outcome = { hits: 0, answered: 0, stale: [] };
  let answered = 0;

  async function write({ cache, link }: { cache: AnswerCache; link: Link }): Promise<void> {
    const dies = hasDeaths ? Math.floor(random() * 6) : null;
    const marks = cache.begin(NAMES);
    const begun = link.takeBegun();
    if (marks.ready !== null) await marks.ready;
    if (dies === 0) return;
    // Its locks may take a while.
    for (let n = Math.floor(random() * 8); n >= 0; n--) await turns.take();
    const value = (db.value += 1);
    await turns.take();
    if (dies === 1) {
      // Nobody answers the write. Those who hear of it otherwise read it, as long as the store keeps its mark.
      if (hasFaults || begun === null) return;
      await begun;
    } else await marks.committed(hasParts ? { name: "task:1", text: String(value) } : undefined);
    answered = Math.max(answered, value);
    outcome.answered += 1;
  }
  async function read({ cache }: { cache: AnswerCache }): Promise<void> {
    const atLeast = answered;
    const found = await cache.find("any", QUESTION);
    if (typeof found === "string") {
      outcome.hits += 1;
      if (Number(found) < atLeast) outcome.stale.push(`seed ${seed}: ${found} after ${atLeast}`);
      return;
    }
    await turns.take();
    const { value } = db;
    await turns.take();
    const kept = hasParts
      ? { text: "", parts: [{ name: "task:1", text: String(value), at: 0 }] }
      : { text: String(value) };
    if (found !== null) cache.keep(found, { names: [], ...kept, realm: "project:1" });
  }
  const anyOf = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item;
  for (let step = 0; step < STEPS; step++) {
    const draw = random();
    if (draw < (hasDeaths ? 0.06 : 0.12)) void write(anyOf(writers));
    else if (draw < 0.5) void read(anyOf(gateways));
    else if (hasFaults && draw < 0.52) anyOf(links).cut();
    else if (hasFaults && draw < 0.56) anyOf(links).connect();
    else if (hasFaults && draw < 0.565) {
      // It starts again, or another one takes its place while some still talk to it.
      if (random() < 0.5) {
        shared.dead.add(shared.store);
        links.forEach((link) => link.cut());
      }
      shared.store = new MemoryAnswers();
    } else if (hasFaults && draw < 0.57) advance(Math.floor(random() * 6000));
    advance(Math.floor(random() * 3));
    await settle();
    for (let n = Math.floor(random() * 14); n > 0; n--) {
      turns.release(random);
      await settle();
    }
  }
  agreements.forEach((agreement) => agreement.stop());
  return outcome;
}
