import { beforeEach, describe, expect, test } from "@jest/globals";
import type { LoggedEvent } from "../../core/events.ts";
import { type Step, StreamTail } from "../../services/notifier/stream-tail.ts";

const event = (seq: number): LoggedEvent => ({
  id: `event-${seq}`,
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

/** A step in short: numbers delivered, the read as `[after, upTo]`. */
const brief = ({ deliver, read, lost }: Step) => ({
  deliver: deliver.map(({ seq }) => seq),
  read: read === null ? null : [read.after, read.upTo],
  lost,
});
const step = (deliver: number[] = [], read: [after: number, upTo: number] | null = null) => ({
  deliver,
  read,
  lost: false,
});
const NOTHING = step();

let tail: StreamTail;
beforeEach(() => {
  tail = new StreamTail();
});

describe("idle", () => {
  test("hints, heads and answers to reads that nobody asked for deliver nothing and read nothing", () => {
    expect(brief(tail.offer(event(1)))).toEqual(NOTHING);
    expect(brief(tail.headIs(3))).toEqual(NOTHING);
    expect(brief(tail.loaded(events(1, 3)))).toEqual(NOTHING);
    expect(tail.state).toBe("idle");
  });

  test("open at the head makes it live, and delivery begins after that head", () => {
    expect(brief(tail.open(7))).toEqual(NOTHING);
    expect(tail).toMatchObject({ state: "live", last: 7 });
    expect(brief(tail.offer(event(8)))).toEqual(step([8]));
  });

  test("a stream without events opens at 0", () => {
    tail.open(0);
    expect(brief(tail.offer(event(1)))).toEqual(step([1]));
  });

  test("what hints told before it was opened is read from the log at once", () => {
    tail.offer(event(9));
    expect(brief(tail.open(7))).toEqual(step([], [7, 9]));
    expect(tail.state).toBe("replaying");
  });
});

describe("live", () => {
  beforeEach(() => {
    tail.open(7);
  });

  test("the next event is delivered", () => {
    expect(brief(tail.offer(event(8)))).toEqual(step([8]));
    expect(brief(tail.offer(event(9)))).toEqual(step([9]));
  });

  test.each([7, 6, 1])("event %i, which is a repeat, is dropped", (seq) => {
    expect(brief(tail.offer(event(seq)))).toEqual(NOTHING);
    expect(tail).toMatchObject({ state: "live", last: 7 });
  });

  test("an event beyond the next one shows a hole: nothing is delivered and the log is read up to it", () => {
    expect(brief(tail.offer(event(10)))).toEqual(step([], [7, 10]));
    expect(tail).toMatchObject({ state: "replaying", last: 7 });
  });

  test("a head beyond the last event shows a hole", () => {
    expect(brief(tail.headIs(9))).toEqual(step([], [7, 9]));
  });

  test.each([7, 3])("the head %i, which was reached already, asks for nothing", (head) => {
    expect(brief(tail.headIs(head))).toEqual(NOTHING);
    expect(tail).toMatchObject({ state: "live", last: 7 });
  });

  test("opened again it keeps its position, and reads what is missing up to the head", () => {
    expect(brief(tail.open(5))).toEqual(NOTHING);
    expect(brief(tail.open(9))).toEqual(step([], [7, 9]));
    expect(tail.last).toBe(7);
  });

  test("an answer to a read that nobody asked for is ignored, and so is its failure", () => {
    expect(brief(tail.loaded(events(8, 9)))).toEqual(NOTHING);
    tail.failed();
    expect(tail).toMatchObject({ state: "live", last: 7 });
  });
});

describe("replaying", () => {
  beforeEach(() => {
    tail.open(7);
    tail.offer(event(10));
  });

  test("what was read is delivered in order, and nothing missing makes it live", () => {
    expect(brief(tail.loaded(events(8, 10)))).toEqual(step([8, 9, 10]));
    expect(tail).toMatchObject({ state: "live", last: 10 });
  });

  test("hints and heads meanwhile, also the very next event, start no second read and deliver nothing", () => {
    expect(brief(tail.offer(event(8)))).toEqual(NOTHING);
    expect(brief(tail.offer(event(11)))).toEqual(NOTHING);
    expect(brief(tail.headIs(12))).toEqual(NOTHING);
    expect(tail).toMatchObject({ state: "replaying", last: 7 });
  });

  test("what became known meanwhile is read next", () => {
    tail.headIs(12);
    expect(brief(tail.loaded(events(8, 10)))).toEqual(step([8, 9, 10], [10, 12]));
  });

  test("a partial page is delivered and the rest read", () => {
    expect(brief(tail.loaded(events(8, 8)))).toEqual(step([8], [8, 10]));
    expect(brief(tail.loaded(events(9, 10)))).toEqual(step([9, 10]));
    expect(tail.state).toBe("live");
  });

  test("events of the page that were delivered before are dropped", () => {
    expect(brief(tail.loaded(events(6, 10)))).toEqual(step([8, 9, 10]));
  });

  test("a failed read keeps the position, and the next beat reads again", () => {
    tail.failed();
    expect(tail).toMatchObject({ state: "live", last: 7 });
    expect(brief(tail.headIs(10))).toEqual(step([], [7, 10]));
  });

  test("after a failed read the beat still reads up to the highest number known, though its head is older", () => {
    tail.failed();
    expect(brief(tail.headIs(8))).toEqual(step([], [7, 10]));
  });

  test.each([
    ["gone up to the known end", []],
    ["cut off right behind the next event", events(9, 10)],
  ])("a log that is %s is lost: it begins anew at what is known", (_case, page) => {
    expect(brief(tail.loaded(page))).toEqual({ ...NOTHING, lost: true });
    expect(tail).toMatchObject({ state: "live", last: 10 });
    expect(brief(tail.offer(event(11)))).toEqual(step([11]));
  });

  test("a lost log begins anew at what became known during the read, too", () => {
    tail.headIs(12);
    expect(brief(tail.loaded([])).lost).toBe(true);
    expect(tail.last).toBe(12);
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
 * return less than was asked for, and, with `retention`, the log's beginning goes away.
 */
class World {
  readonly log: LoggedEvent[] = [];
  readonly tail = new StreamTail();
  /** What the clients got, in order: numbers, or `lost up to <number>`. */
  readonly frames: (number | `lost up to ${number}`)[] = [];
  openedAt: number | null = null;
  readonly faults: string[] = [];
  readonly #random: () => number;
  readonly #retention: boolean;
  #hints: LoggedEvent[] = [];
  #read: Step["read"] = null;
  /** Events up to this number were cut off. */
  #cut = 0;

  constructor(seed: number, retention: boolean) {
    this.#random = randomBy(seed);
    this.#retention = retention;
  }

  #upTo(most: number): number {
    return Math.floor(this.#random() * (most + 1));
  }

  #take({ deliver, read, lost }: Step): void {
    if (lost) this.frames.push(`lost up to ${this.tail.last}`);
    this.frames.push(...deliver.map(({ seq }) => seq));
    if (read === null) return;
    if (this.#read !== null) this.faults.push("two reads at a time");
    if (read.after >= read.upTo || read.upTo > this.log.length) this.faults.push("a read of nothing");
    this.#read = read;
  }

  #answerRead(limit: number): void {
    if (this.#read === null) return;
    const { after, upTo } = this.#read;
    this.#read = null;
    this.#take(this.tail.loaded(this.log.slice(Math.max(after, this.#cut), upTo).slice(0, limit)));
  }

  #open(head: number): void {
    this.openedAt ??= head;
    this.#take(this.tail.open(head));
  }

  act(): void {
    const roll = this.#random();
    if (roll < 0.25) {
      const committed = event(this.log.length + 1);
      this.log.push(committed);
      // Lost, sent once, or sent twice.
      this.#hints.push(...Array.from({ length: this.#upTo(2) }, () => committed));
    } else if (roll < 0.6) {
      const [hint] = this.#hints.splice(this.#upTo(this.#hints.length - 1), 1);
      if (hint !== undefined) this.#take(this.tail.offer(hint));
    } else if (roll < 0.65) this.#hints = [];
    else if (roll < 0.75) this.#take(this.tail.headIs(this.#upTo(this.log.length)));
    else if (roll < 0.8) this.#open(this.#upTo(this.log.length));
    else if (roll < 0.87) {
      if (this.#read !== null) this.tail.failed();
      this.#read = null;
    } else if (roll < 0.99) this.#answerRead(1 + this.#upTo(3));
    else if (this.#retention) this.#cut = this.#upTo(this.log.length);
  }

  /** The beat comes, and reads succeed. */
  settle(): void {
    this.#open(this.log.length);
    this.#take(this.tail.headIs(this.log.length));
    for (let reads = 0; this.#read !== null && reads <= this.log.length; reads++) this.#answerRead(3);
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
        const wanted = events((world.openedAt ?? 0) + 1, world.log.length).map(({ seq }) => seq);
        const { frames, faults } = world;
        expect({ seed, frames, faults }).toEqual({ seed, frames: wanted, faults: [] });
      }
    });

    test("whose log is cut off at times deliver once, in order, and say of each hole that it was lost", () => {
      for (const seed of seeds) {
        const world = new World(seed, true);
        for (let turn = 0; turn < 120; turn++) world.act();
        world.settle();
        const { frames, faults } = world;
        let position = world.openedAt ?? 0;
        for (const frame of frames) {
          const next = typeof frame === "number" ? frame : Number(frame.slice("lost up to ".length));
          if (typeof frame === "number" ? next !== position + 1 : next <= position)
            faults.push(`${frame} after ${position}`);
          position = next;
        }
        expect({ seed, position, faults }).toEqual({ seed, position: world.log.length, faults: [] });
      }
    });
  },
);
