/** k6's executors: when virtual users run their iterations. https://grafana.com/docs/k6/latest/using-k6/scenarios/executors/ */
import type { Clock } from "./clock.ts";
import { milliseconds } from "./durations.ts";
import type { Scenario } from "./options.ts";
import { arrivals, changes, lengthOf } from "./schedules.ts";

/** A virtual user, as an executor sees it. */
export interface Iterating {
  /** Runs one iteration. It never rejects: an iteration that throws is reported and over. */
  iterate(): Promise<void>;
  /** Ends what the iteration under way waits for. */
  interrupt(): void;
}

export interface Crew {
  clock: Clock;
  /** Those that `usersOf` says, made before the test. */
  users: Iterating[];
  /** One more, for an arrival rate that all others are too busy for. */
  hire: () => Promise<Iterating>;
  /** Called for an iteration that no user was free for. */
  onDropped: () => void;
  /** Ends the scenario early. */
  signal: AbortSignal;
}

const GRACEFUL_STOP = "30s";

/** How many virtual users a scenario has from its begin. */
export function usersOf(scenario: Scenario): number {
  switch (scenario.executor) {
    case "constant-vus":
      return scenario.vus;
    case "ramping-vus":
      return Math.max(scenario.startVUs ?? 1, ...scenario.stages.map(({ target }) => target));
    case "constant-arrival-rate":
    case "ramping-arrival-rate":
      return scenario.preAllocatedVUs;
  }
}

/** Iterations under way. */
class Running {
  readonly #open = new Map<Iterating, Promise<void>>();

  begin(user: Iterating, work: Promise<void>): void {
    this.#open.set(
      user,
      work.finally(() => this.#open.delete(user)),
    );
  }

  has(user: Iterating): boolean {
    return this.#open.has(user);
  }

  /** Waits for all; those that take longer are interrupted, and not waited for. */
  async end(ms: number, clock: Clock): Promise<void> {
    const inTime = new AbortController();
    const all = Promise.all(this.#open.values()).then(() => inTime.abort());
    await Promise.race([all, clock.wait(ms, inTime.signal)]);
    for (const user of this.#open.keys()) user.interrupt();
  }
}

async function loop(user: Iterating, goesOn: () => boolean, clock: Clock): Promise<void> {
  while (goesOn()) {
    const began = clock.now();
    await user.iterate();
    // An iteration that waits for nothing would leave no turn of the event loop to the others.
    if (clock.now() - began < 1) await clock.wait(1);
  }
}

/** Holds `vus` users at work, as `schedule` changes their number. */
async function keepBusy(
  schedule: Iterable<{ at: number; vus: number }>,
  length: number,
  running: Running,
  { clock, users, signal }: Crew,
): Promise<void> {
  const began = clock.now();
  let [target, isOver] = [0, false];
  for (const { at, vus } of schedule) {
    await clock.wait(began + at - clock.now(), signal);
    if (signal.aborted) break;
    target = vus;
    for (const [nth, user] of users.slice(0, target).entries())
      if (!running.has(user))
        running.begin(
          user,
          loop(user, () => !isOver && nth < target, clock),
        );
  }
  await clock.wait(began + length - clock.now(), signal);
  isOver = true;
}

/** Begins an iteration at each of `times`, whatever became of those before. */
async function keepPace(
  times: Iterable<number>,
  length: number,
  maxUsers: number,
  running: Running,
  { clock, users, hire, onDropped, signal }: Crew,
): Promise<void> {
  const began = clock.now();
  /** The user who is idle for longest comes next, so that the load is even. */
  const idle = [...users];
  let count = users.length;
  for (const at of times) {
    const wait = began + at - clock.now();
    if (wait > 0) await clock.wait(wait, signal);
    if (signal.aborted) return;
    const user = idle.shift();
    if (user !== undefined) {
      running.begin(
        user,
        user.iterate().then(() => void idle.push(user)),
      );
      continue;
    }
    onDropped();
    if (count >= maxUsers) continue;
    count += 1;
    hire().then(
      (hired) => idle.push(hired),
      () => (count -= 1),
    );
  }
  await clock.wait(began + length - clock.now(), signal);
}

/** Runs a scenario to its end, `gracefulStop` included. */
export async function execute(scenario: Scenario, crew: Crew): Promise<void> {
  const { clock, signal } = crew;
  const running = new Running();
  if (scenario.startTime !== undefined) await clock.wait(milliseconds(scenario.startTime), signal);
  const isArrival =
    scenario.executor === "constant-arrival-rate" || scenario.executor === "ramping-arrival-rate";
  if (isArrival) {
    const seconds = milliseconds(scenario.timeUnit ?? "1s") / 1000;
    const { start, stages } =
      scenario.executor === "constant-arrival-rate"
        ? { start: scenario.rate, stages: [{ duration: scenario.duration, target: scenario.rate }] }
        : { start: scenario.startRate ?? 0, stages: scenario.stages };
    const perSecond = stages.map((stage) => ({ ...stage, target: stage.target / seconds }));
    const maxUsers = scenario.maxVUs ?? scenario.preAllocatedVUs;
    await keepPace(arrivals(start / seconds, perSecond), lengthOf(stages), maxUsers, running, crew);
  } else if (scenario.executor === "constant-vus")
    await keepBusy([{ at: 0, vus: scenario.vus }], milliseconds(scenario.duration), running, crew);
  else
    await keepBusy(
      changes(scenario.startVUs ?? 1, scenario.stages),
      lengthOf(scenario.stages),
      running,
      crew,
    );
  await running.end(signal.aborted ? 0 : milliseconds(scenario.gracefulStop ?? GRACEFUL_STOP), clock);
}
