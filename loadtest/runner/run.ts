/** A whole test: setup, all scenarios at once, teardown, and the verdict of the thresholds. */
import { realClock } from "./clock.ts";
import { milliseconds, readable } from "./durations.ts";
import { execute, usersOf } from "./executors.ts";
import { Metrics } from "./metrics.ts";
import { type Options, parseOptions, type Scenario } from "./options.ts";
import { summaryOf } from "./summary.ts";
import { type Verdict, Thresholds } from "./thresholds.ts";
import { type Context, type Script, type Test, VirtualUser } from "./virtual-user.ts";

/** Errors of iterations that are printed; further ones are counted. */
const SHOWN_ERRORS = 10;
/** Milliseconds between two lines about how far the test is. */
const PROGRESS_MS = 10_000;

export interface Run {
  load: (context: Context) => Promise<Script>;
  say: (line: string) => void;
  /** Ends the test early; teardown and summary follow. */
  signal: AbortSignal;
}

export interface Result {
  verdicts: Verdict[];
  metrics: Metrics;
  summary: string;
}

/** @throws Error when `work` takes longer, or the signal is aborted meanwhile */
async function within<Value>(
  what: string,
  timeout: string,
  work: Promise<Value>,
  signal?: AbortSignal,
): Promise<Value> {
  const done = new AbortController();
  signal?.addEventListener("abort", () => done.abort());
  const late = realClock.wait(milliseconds(timeout), done.signal).then(() => {
    if (!done.signal.aborted) throw new Error(`${what} took longer than ${timeout}`);
  });
  try {
    await Promise.race([work, late]);
    if (signal?.aborted === true) throw new Error(`${what} was interrupted`);
    return await work;
  } finally {
    done.abort();
  }
}

/** What all users read: k6 gives each a copy, the runner one that nobody can change. */
function freeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}

/** Makes the users of all scenarios, and returns what runs each scenario. */
async function prepare(options: Options, test: Test, data: unknown, signal: AbortSignal) {
  let lastId = 0;
  let vusMax = 0;
  const hireFor = async (name: string, scenario: Scenario, state: { begun: number; startTime: number }) => {
    vusMax += 1;
    const user = await VirtualUser.create(++lastId, test);
    user.assign(
      Object.assign(state, { name, executor: scenario.executor, exec: scenario.exec ?? "default" }),
      data,
    );
    all.push(user);
    return user;
  };
  const all: VirtualUser[] = [];
  const scenarios = [];
  for (const [name, scenario] of Object.entries(options.scenarios)) {
    const state = { begun: 0, startTime: 0 };
    const users: VirtualUser[] = [];
    for (let nth = 0; nth < usersOf(scenario); nth++) users.push(await hireFor(name, scenario, state));
    scenarios.push(async () => {
      state.startTime = Date.now();
      await execute(scenario, {
        clock: realClock,
        users,
        hire: () => hireFor(name, scenario, state),
        onDropped: () => test.metrics.add("dropped_iterations", 1, { scenario: name }),
        signal,
      });
    });
  }
  return { scenarios, end: () => all.forEach((user) => user.end()), vus: () => vusMax };
}

/**
 * Runs a script. Its errors in iterations are printed, and do not end the test.
 * @throws what the script throws while it loads and in setup; Error for options that the runner does not know
 */
export async function runTest({ load, say, signal }: Run): Promise<Result> {
  const metrics = new Metrics();
  let began = performance.now();
  let errors = 0;
  const report = (error: unknown): void => {
    errors += 1;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (errors <= SHOWN_ERRORS) say(`ERRO ${text}`);
    if (errors === SHOWN_ERRORS) say("ERRO further errors are counted only");
  };
  const test: Test = { metrics, report, load, testDuration: () => performance.now() - began };

  const first = await VirtualUser.create(0, test);
  const options = parseOptions(first.script.options);
  const thresholds = new Thresholds(options.thresholds, metrics);
  say("setup");
  const data = freeze(await within("setup", options.setupTimeout, first.once("setup"), signal));
  const { scenarios, end, vus } = await prepare(options, test, data, signal);

  say(`running ${Object.keys(options.scenarios).join(", ")} with ${vus()} virtual users`);
  began = performance.now();
  const progress = setInterval(() => {
    const { sum } = metrics.get("iterations").sink;
    say(`${readable(test.testDuration())}: ${sum} iterations, ${metrics.get("http_reqs").sink.sum} requests`);
  }, PROGRESS_MS);
  await Promise.all(scenarios.map((run) => run()));
  clearInterval(progress);
  const seconds = test.testDuration() / 1000;
  metrics.add("vus_max", vus(), {});
  end();
  say("teardown");
  await within("teardown", options.teardownTimeout, first.once("teardown", data));
  first.end();

  const verdicts = thresholds.verdicts(seconds);
  const failed = errors === 0 ? "" : `\n    ${errors} iterations or callbacks threw an error\n`;
  return {
    verdicts,
    metrics,
    summary: summaryOf(metrics, verdicts, options.summaryTrendStats, seconds) + failed,
  };
}
