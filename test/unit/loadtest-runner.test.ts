/** The Node runner of the load tests does what k6 does with the same options. */
import { describe, expect, test } from "@jest/globals";
import type { Clock } from "../../loadtest/runner/clock.ts";
import { milliseconds, readable } from "../../loadtest/runner/durations.ts";
import { execute, type Iterating, usersOf } from "../../loadtest/runner/executors.ts";
import { Metrics } from "../../loadtest/runner/metrics.ts";
import { parseOptions, type Scenario } from "../../loadtest/runner/options.ts";
import { arrivals, changes } from "../../loadtest/runner/schedules.ts";
import { summaryOf } from "../../loadtest/runner/summary.ts";
import { Thresholds } from "../../loadtest/runner/thresholds.ts";

/** A clock that goes on as soon as everybody waits for it. */
class FakeClock implements Clock {
  #now = 0;
  readonly #waiting = new Set<{ at: number; end: () => void }>();

  now(): number {
    return this.#now;
  }

  wait(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = { at: this.#now + ms, end: () => (this.#waiting.delete(timer), resolve()) };
      this.#waiting.add(timer);
      signal?.addEventListener("abort", timer.end);
    });
  }

  /** Lets time pass until `work` is done. */
  async run(work: Promise<void>): Promise<void> {
    let isDone = false;
    void work.then(() => (isDone = true));
    for (;;) {
      await new Promise(setImmediate);
      if (isDone) return;
      const next = [...this.#waiting].sort((a, b) => a.at - b.at)[0];
      if (next === undefined) throw new Error("nobody waits for the clock");
      this.#now = Math.max(this.#now, next.at);
      next.end();
    }
  }
}

/** Runs a scenario by users whose iterations take `ms`, the `nth` of them for ever if it says Infinity. */
async function runScenario(scenario: Scenario, ms: number) {
  const clock = new FakeClock();
  const starts: { user: number; at: number }[] = [];
  const interrupted: number[] = [];
  let dropped = 0;
  let count = 0;
  const hire = (): Iterating => {
    const user = count++;
    return {
      iterate: async () => {
        starts.push({ user, at: clock.now() });
        await (ms === Infinity ? new Promise(() => {}) : clock.wait(ms));
      },
      interrupt: () => void interrupted.push(user),
    };
  };
  const users = Array.from({ length: usersOf(scenario) }, hire);
  const crew = { clock, users, hire: async () => hire(), onDropped: () => void dropped++ };
  await clock.run(execute(scenario, { ...crew, signal: new AbortController().signal }));
  return { starts, interrupted, dropped: () => dropped, ended: clock.now(), users: () => count };
}

describe("schedules", () => {
  test("a constant rate is even", () => {
    const times = [...arrivals(100, [{ duration: "1s", target: 100 }])];
    expect(times).toHaveLength(100);
    expect(times.slice(0, 3)).toEqual([0, 10, 20]);
  });

  test("a rate that goes up begins as many iterations as the area below it, ever closer", () => {
    const times = [...arrivals(0, [{ duration: "10s", target: 100 }])];
    expect(times).toHaveLength(500);
    // Half of the time has a quarter of the area.
    expect(times.filter((at) => at < 5000)).toHaveLength(125);
    const stages = [
      { duration: "1s", target: 10 },
      { duration: "1s", target: 0 },
    ];
    expect([...arrivals(0, stages)]).toHaveLength(10);
  });

  test("virtual users come and go in straight lines", () => {
    const stages = [
      { duration: "4s", target: 2 },
      { duration: "1s", target: 2 },
      { duration: "0s", target: 1 },
    ];
    expect([...changes(0, stages)]).toEqual([
      { at: 2000, vus: 1 },
      { at: 4000, vus: 2 },
      { at: 5000, vus: 1 },
    ]);
  });
});

describe("executors", () => {
  const arrival = { executor: "constant-arrival-rate", rate: 10, duration: "1s" } as const;

  test("an arrival rate keeps its pace, and its users take turns", async () => {
    const { starts, dropped } = await runScenario({ ...arrival, preAllocatedVUs: 5 }, 1);
    expect(starts.map(({ at }) => at)).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    expect(starts.map(({ user }) => user)).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    expect(dropped()).toBe(0);
  });

  test("an iteration that no user is free for is dropped, and another user comes, up to maxVUs", async () => {
    const { starts, dropped, users } = await runScenario({ ...arrival, preAllocatedVUs: 1, maxVUs: 3 }, 5000);
    expect(users()).toBe(3);
    expect(starts.length + dropped()).toBe(10);
    expect(starts).toHaveLength(3);
  });

  test("a rate by the minute", async () => {
    const scenario: Scenario = { ...arrival, rate: 120, timeUnit: "1m", duration: "2s", preAllocatedVUs: 1 };
    expect((await runScenario(scenario, 1)).starts.map(({ at }) => at)).toEqual([0, 500, 1000, 1500]);
  });

  test("constant users begin again as soon as they are done", async () => {
    const { starts, ended } = await runScenario({ executor: "constant-vus", vus: 3, duration: "1s" }, 300);
    expect(starts).toHaveLength(3 * 4);
    // The last iterations began before the end, and are waited for.
    expect(ended).toBe(1200);
  });

  test("an iteration that outlasts gracefulStop is interrupted", async () => {
    const scenario: Scenario = { executor: "constant-vus", vus: 2, duration: "1s", gracefulStop: "5s" };
    const { interrupted, ended } = await runScenario(scenario, Infinity);
    expect(interrupted).toEqual([0, 1]);
    expect(ended).toBe(6000);
  });

  test("ramping users: those who are too many finish, and none of them begins again", async () => {
    const stages = [
      { duration: "2s", target: 2 },
      { duration: "2s", target: 0 },
    ];
    const { starts } = await runScenario({ executor: "ramping-vus", startVUs: 0, stages }, 400);
    const of = (user: number) => starts.filter((start) => start.user === user).map(({ at }) => at);
    expect(of(0)).toEqual([1000, 1400, 1800, 2200, 2600, 3000, 3400, 3800]);
    expect(of(1)).toEqual([2000, 2400, 2800]);
  });

  test("a scenario may begin later", async () => {
    const scenario: Scenario = { executor: "constant-vus", vus: 1, duration: "1s", startTime: "1m" };
    expect((await runScenario(scenario, 2000)).starts).toEqual([{ user: 0, at: 60_000 }]);
  });
});

describe("thresholds", () => {
  function judge(source: string, expressions: string[], samples: [value: number, scenario: string][]) {
    const metrics = new Metrics();
    const thresholds = new Thresholds({ [source]: expressions }, metrics);
    for (const [value, scenario] of samples) metrics.add(source.replace(/\{.*/, ""), value, { scenario });
    return thresholds.verdicts(2).map(({ value, passed }) => ({ value, passed }));
  }

  test("percentiles lie between two samples, as in k6", () => {
    const samples = [10, 20, 30, 40].map((ms): [number, string] => [ms, "a"]);
    expect(judge("http_req_duration", ["p(50)<25", "p(50)<=25", "max<41", "avg==25"], samples)).toEqual([
      { value: 25, passed: false },
      { value: 25, passed: true },
      { value: 40, passed: true },
      { value: 25, passed: true },
    ]);
  });

  test("tags choose samples", () => {
    const samples: [number, string][] = [
      [1, "a"],
      [900, "b"],
    ];
    expect(judge("http_req_duration{scenario:a}", ["max<2"], samples)).toEqual([{ value: 1, passed: true }]);
    expect(judge("http_req_duration{scenario:b}", ["max<2"], samples)).toEqual([
      { value: 900, passed: false },
    ]);
  });

  test("counters, by number and by second; rates", () => {
    const ones: [number, string][] = [
      [1, "a"],
      [1, "a"],
      [0, "a"],
    ];
    expect(judge("iterations", ["count<3", "rate>=1"], ones)).toEqual([
      { value: 2, passed: true },
      { value: 1, passed: true },
    ]);
    expect(judge("http_req_failed", ["rate<0.5"], ones)).toEqual([{ value: 2 / 3, passed: false }]);
  });

  test.each([
    ["no_such_metric", "p(95)<1", "there is no metric no_such_metric"],
    ["http_req_duration", "p95<1", '"p95<1" is no threshold of the trend http_req_duration'],
    ["http_req_duration", "rate<1", '"rate<1" is no threshold of the trend http_req_duration'],
    ["http_req_failed", "rate<1%", '"rate<1%" is no threshold of the rate http_req_failed'],
  ])("%s %s is refused", (source, expression, message) => {
    expect(() => new Thresholds({ [source]: [expression] }, new Metrics())).toThrow(message);
  });
});

describe("options", () => {
  test.each([
    [{}, "options.scenarios is empty"],
    [
      { scenarios: { a: { executor: "shared-iterations" } } },
      "does not know the executor shared-iterations of a",
    ],
    [
      { scenarios: { a: { executor: "constant-vus", vus: 1, duration: "1s", env: {} } } },
      "does not know env of the scenario a",
    ],
    [
      { scenarios: { a: { executor: "constant-vus" } }, noCookiesReset: true },
      "does not know noCookiesReset of options",
    ],
  ])("%j is refused, not ignored", (options, message) => {
    expect(() => parseOptions(options)).toThrow(message);
  });

  test("durations", () => {
    expect(["1m30s", "500ms", "1h", 5].map(milliseconds)).toEqual([90_000, 500, 3_600_000, 5]);
    expect(() => milliseconds("1 minute")).toThrow("is not a duration");
    expect([0, 0.5, 12.345, 1500, 185_000].map(readable)).toEqual(["0s", "500µs", "12.35ms", "1.5s", "3m5s"]);
  });
});

test("the summary shows thresholds, checks, custom metrics and those of k6, with the seconds that it is told", () => {
  const metrics = new Metrics();
  const thresholds = new Thresholds({ "http_req_duration{scenario:a}": ["max<20", "max<5"] }, metrics);
  metrics.declare("delay", "trend", "time");
  metrics.add("http_req_duration", 10, { scenario: "a" });
  metrics.add("http_reqs", 30, {});
  metrics.add("delay", 1500, {});
  metrics.check("answers 200", true, {});
  metrics.check("answers 200", false, {});
  const text = summaryOf(metrics, thresholds.verdicts(10), ["p(95)"], 10);
  for (const line of [
    /^ {4}✓ 'max<20' max=10ms$/m,
    /^ {4}✗ 'max<5' max=10ms$/m,
    /^ {4}✗ answers 200\n {6}↳ {2}50% — ✓ 1 \/ ✗ 1$/m,
    /^ {4}CUSTOM\n {4}delay\.+: p\(95\)=1\.5s$/m,
    /^ {4}http_req_duration\.+: p\(95\)=10ms\n {6}\{ scenario:a \}\.+: p\(95\)=10ms$/m,
    /^ {4}http_reqs\.+: 30 +3\/s$/m,
  ])
    expect(text).toMatch(line);
});
