import { describe, expect, jest, test } from "@jest/globals";
import { type Cost, Turns } from "../../mixins/turns.ts";
import { problem } from "./fixtures.ts";

const LIMITS = {
  all: 4,
  unbounded: 2,
  perUser: 2,
  waiting: 5,
  waitingPerUser: 3,
  waitMs: 60_000,
  standing: { afterMs: 60_000, waitMs: 20 },
};

/** Statements that run until the test ends them. */
class Desk {
  readonly #turns: Turns;
  /** Names of those that run, in the order in which their turn came. */
  readonly running: string[] = [];
  readonly #ends = new Map<string, () => void>();
  constructor(limits: Partial<typeof LIMITS> = {}) {
    this.#turns = new Turns({ ...LIMITS, ...limits });
  }
  ask(name: string, cost: Cost, by?: string): Promise<void> {
    return this.#turns.run({ cost, by }, async () => {
      this.running.push(name);
      await new Promise<void>((resolve) => this.#ends.set(name, resolve));
      this.running.splice(this.running.indexOf(name), 1);
    });
  }
  async end(name: string): Promise<void> {
    this.#ends.get(name)?.();
    for (let n = 0; n < 10; n++) await Promise.resolve();
  }
  async settle(asked: Promise<void>[]): Promise<void> {
    while (this.running.length > 0) await this.end(this.running[0] as string);
    await Promise.all(asked);
  }
}

describe("a slow statement", () => {
  test("of one user waits for that user's others, and the next user's passes it", async () => {
    const desk = new Desk();
    const asked = ["a1", "a2", "a3", "b1"].map((name) => desk.ask(name, "bounded", name[0]));
    await desk.end("");
    expect(desk.running).toEqual(["a1", "a2", "b1"]);
    await desk.end("a1");
    expect(desk.running).toEqual(["a2", "b1", "a3"]);
    await desk.settle(asked);
  });

  test("that nothing bounds leaves room for the others", async () => {
    const desk = new Desk();
    const asked = ["a", "b", "c"].map((name) => desk.ask(name, "unbounded", name));
    asked.push(...["d", "e", "f"].map((name) => desk.ask(name, "bounded", name)));
    await desk.end("");
    expect(desk.running).toEqual(["a", "b", "d", "e"]);
    await desk.end("d");
    expect(desk.running).toEqual(["a", "b", "e", "f"]);
    await desk.end("a");
    expect(desk.running).toEqual(["b", "e", "f", "c"]);
    await desk.settle(asked);
  });

  test("of nobody has no bound but that of all", async () => {
    const desk = new Desk();
    const asked = [1, 2, 3, 4, 5].map((n) => desk.ask(`${n}`, "bounded"));
    await desk.end("");
    expect(desk.running).toEqual(["1", "2", "3", "4"]);
    await desk.settle(asked);
  });

  test("gives its turn back when it fails", async () => {
    const turns = new Turns({ ...LIMITS, all: 1 });
    const failed = turns.run({ cost: "bounded", by: "a" }, () => Promise.reject(new Error("no")));
    const next = turns.run({ cost: "bounded", by: "a" }, async () => "next");
    await expect(failed).rejects.toThrow("no");
    expect(await next).toBe("next");
  });
});

describe("a wait for a turn", () => {
  const headers = { "Retry-After": "1" };
  const ownFault = problem("rate-limited", { code: 429, data: { headers } });
  const busy = problem("overloaded", { code: 503, data: { headers } });

  test("ends: with 429 where the user's own statements are in the way, with 503 where all are busy", async () => {
    const desk = new Desk({ waitMs: 20, all: 3 });
    const asked = ["a1", "a2", "b1"].map((name) => desk.ask(name, "bounded", name[0]));
    await Promise.all([
      expect(desk.ask("a3", "bounded", "a")).rejects.toEqual(ownFault),
      expect(desk.ask("c1", "bounded", "c")).rejects.toEqual(busy),
      expect(desk.ask("sweep", "bounded")).rejects.toEqual(busy),
    ]);
    // Who gave up leaves the queue, and takes no turn that comes later.
    await desk.settle(asked);
    const later = ["c1", "c2", "d1"].map((name) => desk.ask(name, "bounded", name[0]));
    await desk.end("");
    expect(desk.running).toEqual(["c1", "c2", "d1"]);
    await desk.settle(later);
  });

  test("is short while a queue does not empty, except for what serves no request", async () => {
    const now = jest.spyOn(performance, "now").mockReturnValue(1000);
    try {
      const desk = new Desk({ all: 1, standing: { afterMs: 500, waitMs: 20 } });
      const asked = [desk.ask("a", "bounded", "a"), desk.ask("b", "bounded", "b")];
      now.mockReturnValue(1500);
      asked.push(desk.ask("c", "bounded", "c"));
      now.mockReturnValue(1501);
      asked.push(desk.ask("sweep", "bounded"));
      await expect(desk.ask("d", "bounded", "d")).rejects.toEqual(busy);
      // Those of the burst have kept their places; once they are served, the next burst has time again.
      expect(desk.running).toEqual(["a"]);
      for (const name of ["a", "b", "c"]) await desk.end(name);
      expect(desk.running).toEqual(["sweep"]);
      now.mockReturnValue(9000);
      asked.push(desk.ask("e", "bounded", "e"), desk.ask("f", "bounded", "f"));
      now.mockReturnValue(9500);
      asked.push(desk.ask("g", "bounded", "g"));
      await desk.settle(asked);
    } finally {
      now.mockRestore();
    }
  });

  test("is for few of a user and for few of all: more are refused at once", async () => {
    const desk = new Desk();
    const asked = ["a1", "a2", "a3", "a4", "a5"].map((name) => desk.ask(name, "bounded", "a"));
    await expect(desk.ask("a6", "bounded", "a")).rejects.toEqual(ownFault);
    asked.push(...["b1", "b2", "b3", "c1"].map((name) => desk.ask(name, "bounded", name[0])));
    await expect(desk.ask("d1", "bounded", "d")).rejects.toEqual(busy);
    await desk.settle(asked);
  });
});
