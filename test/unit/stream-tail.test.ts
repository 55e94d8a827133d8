import { beforeEach, describe, expect, test } from "@jest/globals";
import type { CommittedEvent, LoggedEvent, Position } from "../../core/events.ts";
import { type Step, StreamTail } from "../../services/notifier/stream-tail.ts";

/** An id in a history; `first` is the one that the tail knows. */
const idOf = (seq: number, history = "first"): string | null => (seq === 0 ? null : `${history}-${seq}`);
const event = (seq: number, history = "first"): LoggedEvent => ({
  id: idOf(seq, history) as string,
  stream: "project:p",
  seq,
  type: "task_updated",
  time: "2026-11-21T06:36:14.100Z",
  actor_id: null,
  request_id: null,
  data: {},
});
/** Events `from` … `to`. */
const events = (from: number, to: number): LoggedEvent[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => event(from + at));
const hint = (seq: number, previous_id = idOf(seq - 1)): CommittedEvent => ({ ...event(seq), previous_id });
const at = (seq: number, history = "first"): Position => ({ seq, id: idOf(seq, history) });

/** A step in short: numbers delivered, the read as `[after, upTo]`. */
const brief = ({ deliver, read, ...flags }: Step) => ({
  deliver: deliver.map(({ seq }) => seq),
  read: read === null ? null : [read.after.seq, read.upTo],
  ...flags,
});
const step = (deliver: number[] = [], read: [after: number, upTo: number] | null = null, more = {}) => ({
  deliver,
  read,
  locate: false,
  lost: false,
  ...more,
});
const NOTHING = step();

let tail: StreamTail;
beforeEach(() => {
  tail = new StreamTail();
});

describe("idle", () => {
  test("hints and answers to reads that nobody asked for deliver nothing and read nothing", () => {
    expect(brief(tail.offer(hint(1)))).toEqual(NOTHING);
    expect(brief(tail.loaded(events(1, 3)))).toEqual(NOTHING);
    expect(tail.state).toBe("idle");
  });

  test("the head makes it live, and delivery begins after that head", () => {
    expect(brief(tail.headIs(at(7)))).toEqual(NOTHING);
    expect(tail).toMatchObject({ state: "live", last: at(7) });
    expect(brief(tail.offer(hint(8)))).toEqual(step([8]));
  });

  test("a stream without events opens at 0", () => {
    tail.headIs(at(0));
    expect(brief(tail.offer(hint(1)))).toEqual(step([1]));
  });

  test("what hints told before it was opened is read from the log at once", () => {
    tail.offer(hint(9));
    expect(brief(tail.headIs(at(7)))).toEqual(step([], [7, 9]));
    expect(tail.state).toBe("replaying");
  });
});

describe("live", () => {
  beforeEach(() => {
    tail.headIs(at(7));
  });

  test("the next event is delivered, without what is no part of it", () => {
    expect(tail.offer(hint(8)).deliver).toEqual([event(8)]);
    expect(brief(tail.offer(hint(9)))).toEqual(step([9]));
    expect(tail.last).toEqual(at(9));
  });

  test.each([7, 6, 1])("event %i, which is a repeat, is dropped", (seq) => {
    expect(brief(tail.offer(hint(seq)))).toEqual(NOTHING);
    expect(tail).toMatchObject({ state: "live", last: at(7) });
  });

  test("an event beyond the next one shows a hole: nothing is delivered and the log is read up to it", () => {
    expect(brief(tail.offer(hint(10)))).toEqual(step([], [7, 10]));
    expect(tail).toMatchObject({ state: "replaying", last: at(7) });
  });

  test("a head beyond the last event shows a hole", () => {
    expect(brief(tail.headIs(at(9)))).toEqual(step([], [7, 9]));
  });

  test("the head that was reached already asks for nothing", () => {
    expect(brief(tail.headIs(at(7)))).toEqual(NOTHING);
    expect(tail).toMatchObject({ state: "live", last: at(7) });
  });

  test.each<[string, (tail: StreamTail) => Step, upTo: number]>([
    ["the next event follows another one", (tail) => tail.offer(hint(8, idOf(7, "second"))), 8],
    ["the head is the last event with another id", (tail) => tail.headIs(at(7, "second")), 7],
    ["the head is older than the last event", (tail) => tail.headIs(at(3)), 7],
  ])("where %s, nothing is delivered and the log settles the doubt", (_case, doubt, upTo) => {
    expect(brief(doubt(tail))).toEqual(step([], [7, upTo]));
    expect(tail).toMatchObject({ state: "replaying", last: at(7) });
  });

  test("an old head, read before the last events came, changes nothing", () => {
    tail.headIs(at(3));
    expect(brief(tail.loaded([]))).toEqual(NOTHING);
    expect(tail).toMatchObject({ state: "live", last: at(7) });
    expect(brief(tail.offer(hint(8)))).toEqual(step([8]));
  });

  test("an answer to a read that nobody asked for is ignored, and so is its failure", () => {
    expect(brief(tail.loaded(events(8, 9)))).toEqual(NOTHING);
    tail.failed();
    expect(tail).toMatchObject({ state: "live", last: at(7) });
  });
});

describe("replaying", () => {
  beforeEach(() => {
    tail.headIs(at(7));
    tail.offer(hint(10));
  });

  test("what was read is delivered in order, and nothing missing makes it live", () => {
    expect(brief(tail.loaded(events(8, 10)))).toEqual(step([8, 9, 10]));
    expect(tail).toMatchObject({ state: "live", last: at(10) });
  });

  test("hints and heads meanwhile, also the very next event, start no second read and deliver nothing", () => {
    expect(brief(tail.offer(hint(8)))).toEqual(NOTHING);
    expect(brief(tail.offer(hint(11)))).toEqual(NOTHING);
    expect(brief(tail.headIs(at(12)))).toEqual(NOTHING);
    expect(tail).toMatchObject({ state: "replaying", last: at(7) });
  });

  test("what became known meanwhile is read next", () => {
    tail.headIs(at(12));
    expect(brief(tail.loaded(events(8, 10)))).toEqual(step([8, 9, 10], [10, 12]));
  });

  test("a partial page is delivered and the rest read", () => {
    expect(brief(tail.loaded(events(8, 8)))).toEqual(step([8], [8, 10]));
    expect(brief(tail.loaded(events(9, 10)))).toEqual(step([9, 10]));
    expect(tail.state).toBe("live");
  });

  test("a failed read keeps the position, and the next beat reads again", () => {
    tail.failed();
    expect(tail).toMatchObject({ state: "live", last: at(7) });
    expect(brief(tail.headIs(at(10)))).toEqual(step([], [7, 10]));
  });

  test("after a failed read the beat still reads up to the highest number known, though its head is older", () => {
    tail.failed();
    expect(brief(tail.headIs(at(8)))).toEqual(step([], [7, 10]));
  });
});

describe("rewritten", () => {
  beforeEach(() => {
    tail.headIs(at(7));
    tail.offer(hint(10));
  });

  test.each([
    ["does not go on from the last event", null],
    ["lacks what was told of", []],
  ])("a log that %s delivers nothing: the stream is located", (_case, page) => {
    expect(brief(tail.loaded(page))).toEqual(step([], null, { locate: true }));
    expect(tail.state).toBe("rewritten");
  });

  test("it delivers nothing until it is located, says that events were lost, and goes on from there", () => {
    tail.loaded(null);
    expect(brief(tail.offer(hint(8)))).toEqual(NOTHING);
    expect(brief(tail.headIs(at(3, "second")))).toEqual(step([], [3, 8], { lost: true }));
    expect(tail.last).toEqual(at(3, "second"));
  });

  test("what was known of the former history is forgotten", () => {
    tail.loaded(null);
    expect(brief(tail.headIs(at(3, "second")))).toEqual(step([], null, { lost: true }));
    expect(brief(tail.offer({ ...hint(4, "second-3"), id: "second-4" }))).toEqual(step([4]));
  });
});

/** mulberry32: numbers in [0, 1) that depend on the seed alone. */
function randomBy(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * One stream and its tail in a hostile world: hints are shuffled, repeated and lost, heads are stale, reads fail or
 * return less than was asked for, and, with `restores`, the log's end goes away and is written a second time.
 */
class World {
  log: CommittedEvent[] = [];
  readonly tail = new StreamTail();
  /** What the clients got, in order: ids, or `lost at <id>`. */
  readonly frames: string[] = [];
  openedAt: number | null = null;
  readonly faults: string[] = [];
  readonly #random: () => number;
  readonly #restores: boolean;
  #hints: CommittedEvent[] = [];
  #step: Step | null = null;
  #history = 1;

  constructor(seed: number, restores: boolean) {
    this.#random = randomBy(seed);
    this.#restores = restores;
  }

  #upTo(most: number): number {
    return Math.floor(this.#random() * (most + 1));
  }

  /** Where the stream was when it had so many events. */
  head(length = this.log.length): Position {
    return { seq: length, id: this.log[length - 1]?.id ?? null };
  }

  #take(step: Step): void {
    if (step.lost) this.frames.push(`lost at ${this.tail.last.id}`);
    this.frames.push(...step.deliver.map(({ id }) => id));
    if (step.read === null && !step.locate) return;
    if (this.#step !== null) this.faults.push("two reads at a time");
    this.#step = step;
  }

  #answer(limit: number): void {
    if (this.#step === null) return;
    const { read } = this.#step;
    this.#step = null;
    if (read === null) return this.#take(this.tail.headIs(this.head()));
    const { after, upTo } = read;
    const isThere = after.seq === 0 || this.log[after.seq - 1]?.id === after.id;
    this.#take(this.tail.loaded(isThere ? this.log.slice(after.seq, upTo).slice(0, limit) : null));
  }

  act(): void {
    const roll = this.#random();
    if (roll < 0.25) {
      const seq = this.log.length + 1;
      const committed = { ...event(seq, `history ${this.#history}`), previous_id: this.head().id };
      this.log.push(committed);
      // Lost, sent once, or sent twice.
      this.#hints.push(...Array.from({ length: this.#upTo(2) }, () => committed));
    } else if (roll < 0.6) {
      const [hint] = this.#hints.splice(this.#upTo(this.#hints.length - 1), 1);
      if (hint !== undefined) this.#take(this.tail.offer(hint));
    } else if (roll < 0.65) this.#hints = [];
    else if (roll < 0.8) {
      // While it is being located, nobody else says where it is.
      if (this.#step?.locate === true) return;
      const head = this.#upTo(this.log.length);
      this.openedAt ??= head;
      this.#take(this.tail.headIs(this.head(head)));
    } else if (roll < 0.87) {
      if (this.#step?.read !== undefined) this.tail.failed();
      this.#step = null;
    } else if (roll < 0.99 || !this.#restores) this.#answer(1 + this.#upTo(3));
    else {
      this.#history += 1;
      this.log = this.log.slice(0, this.#upTo(this.log.length));
    }
  }

  /** Beats come, and reads succeed. */
  settle(): void {
    this.openedAt ??= this.log.length;
    for (let beat = 0; beat < 2; beat++) {
      if (this.#step?.locate !== true) this.#take(this.tail.headIs(this.head()));
      for (let reads = 0; this.#step !== null && reads <= this.log.length + 2; reads++) this.#answer(3);
    }
  }
}

describe.each([...Array(20).keys()].map((batch) => 1 + batch * 100))(
  "100 worlds from seed %i on",
  (first) => {
    const seeds = Array.from({ length: 100 }, (_, at) => first + at);

    test("deliver everything after the opening head exactly once, in order, without holes", () => {
      for (const seed of seeds) {
        const world = new World(seed, false);
        for (let turn = 0; turn < 120; turn++) world.act();
        world.settle();
        const wanted = world.log.slice(world.openedAt ?? 0).map(({ id }) => id);
        const { frames, faults } = world;
        expect({ seed, frames, faults }).toEqual({ seed, frames: wanted, faults: [] });
      }
    });

    test("whose log is written a second time at times end with its events, after telling that others were lost", () => {
      for (const seed of seeds) {
        const world = new World(seed, true);
        for (let turn = 0; turn < 120; turn++) world.act();
        world.settle();
        const { frames, faults, tail } = world;
        // Since it was last told that events were lost, a client has what the log has, from there on.
        const told = frames.findLastIndex((frame) => frame.startsWith("lost at "));
        const since = frames.slice(told + 1);
        const wanted = world.log.slice(world.log.length - since.length).map(({ id }) => id);
        expect({ seed, since, last: tail.last, faults }).toEqual({
          seed,
          since: wanted,
          last: world.head(),
          faults: [],
        });
      }
    });
  },
);
