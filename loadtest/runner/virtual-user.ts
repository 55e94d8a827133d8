/** A virtual user: an instance of the script with module state of its own, as in k6, and one iteration at a time. */
import type { Iterating } from "./executors.ts";
import type { Metrics, Tags } from "./metrics.ts";

/** What the k6 modules of a virtual user know of it. */
export interface Context {
  readonly id: number;
  readonly metrics: Metrics;
  /** Tags of all samples: the scenario; none in setup and teardown. */
  tags(): Tags;
  /** Registers what ends with the user, or sooner when it is interrupted. @returns forgets it */
  onEnd(end: () => void): () => void;
  /** Runs a script's callback; what it throws is reported. */
  callback(run: () => void): void;
  /** Iterations that this user has begun. */
  readonly iteration: number;
  readonly scenario: { name: string; executor: string; startTime: number; iterationInTest: number };
  /** Milliseconds since the test began. */
  testDuration(): number;
}

export type Script = Record<string, unknown>;

/** What all virtual users of a test share. */
export interface Test {
  metrics: Metrics;
  /** Gets what iterations and callbacks threw. */
  report(error: unknown): void;
  testDuration(): number;
  /** Loads the script for the virtual user with that id, whose modules come from `context`. */
  load(context: Context): Promise<Script>;
}

/** The part of a scenario that its users share. */
export interface ScenarioState {
  name: string;
  executor: string;
  /** The exported function. */
  exec: string;
  /** Milliseconds since 1970. */
  startTime: number;
  /** Iterations that began. */
  begun: number;
}

type Run = (data: unknown) => unknown;

export class VirtualUser implements Iterating, Context {
  readonly id: number;
  readonly metrics: Metrics;
  iteration = -1;
  scenario: Context["scenario"] = { name: "", executor: "", startTime: 0, iterationInTest: 0 };
  readonly #test: Test;
  readonly #ends = new Set<() => void>();
  #script: Script = {};
  #state: ScenarioState | null = null;
  #tags: Tags = {};
  #data: unknown;
  #isInterrupted = false;

  private constructor(id: number, test: Test) {
    this.id = id;
    this.metrics = test.metrics;
    this.#test = test;
  }

  /** Loads the script once more. @throws what the script throws while it loads */
  static async create(id: number, test: Test): Promise<VirtualUser> {
    const user = new VirtualUser(id, test);
    user.#script = await test.load(user);
    return user;
  }

  get script(): Script {
    return this.#script;
  }

  /** Gives the user a scenario, and what `setup` returned. @throws Error when the script has no such function */
  assign(state: ScenarioState, data: unknown): void {
    if (typeof this.#script[state.exec] !== "function")
      throw new Error(`the scenario ${state.name} wants an exported function ${state.exec}`);
    this.#state = state;
    this.#tags = { scenario: state.name };
    this.#data = data;
  }

  /** Runs `setup` or `teardown`; undefined where the script has none. @throws what it throws */
  async once(name: "setup" | "teardown", data?: unknown): Promise<unknown> {
    this.#tags = { group: `::${name}` };
    return (this.#script[name] as Run | undefined)?.(data);
  }

  async iterate(): Promise<void> {
    const state = this.#state as ScenarioState;
    this.iteration += 1;
    const { name, executor, startTime } = state;
    this.scenario = { name, executor, startTime, iterationInTest: state.begun++ };
    const began = performance.now();
    try {
      await (this.#script[state.exec] as Run)(this.#data);
    } catch (error) {
      if (!this.#isInterrupted) this.#test.report(error);
    }
    if (this.#isInterrupted) return;
    this.metrics.add("iterations", 1, this.#tags);
    this.metrics.add("iteration_duration", performance.now() - began, this.#tags);
  }

  interrupt(): void {
    this.#isInterrupted = true;
    this.end();
  }

  /** Closes connections. */
  end(): void {
    for (const end of this.#ends) end();
    this.#ends.clear();
  }

  tags(): Tags {
    return this.#tags;
  }

  testDuration(): number {
    return this.#test.testDuration();
  }

  onEnd(end: () => void): () => void {
    this.#ends.add(end);
    return () => this.#ends.delete(end);
  }

  callback(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#test.report(error);
    }
  }
}
