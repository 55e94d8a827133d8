/** The modules of k6 that the scripts import, made for one virtual user. surface.d.ts gives them to the compiler. */
import { type HttpModule, httpModule } from "./http.ts";
import type { MetricType, Tags } from "./metrics.ts";
import type { Context } from "./virtual-user.ts";
import { type WebSocketsModule, webSocketsModule } from "./websockets.ts";

export interface CoreModule {
  check<Value>(value: Value, sets: Record<string, (value: Value) => boolean>, tags?: Tags): boolean;
  fail(message?: string): never;
}

export interface MetricHandle {
  add(value: number | boolean, tags?: Tags): void;
}
type MetricClass = new (name: string, isTime?: boolean) => MetricHandle;
export type MetricsModule = Record<"Counter" | "Gauge" | "Rate" | "Trend", MetricClass>;

export interface ExecutionModule {
  vu: { readonly idInTest: number; readonly iterationInInstance: number };
  scenario: { readonly name: string; readonly startTime: number; readonly iterationInTest: number };
  /** Milliseconds. */
  instance: { readonly currentTestRunDuration: number };
}

export interface TimersModule {
  setTimeout(run: () => void, ms: number): unknown;
}

export interface Modules {
  k6: CoreModule;
  "k6/http": HttpModule;
  "k6/metrics": MetricsModule;
  "k6/execution": ExecutionModule;
  "k6/timers": TimersModule;
  "k6/websockets": WebSocketsModule;
}

const coreModule = (vu: Context): CoreModule => ({
  check(value, sets, tags = {}) {
    let passed = true;
    for (const [name, holds] of Object.entries(sets)) {
      const isHeld = Boolean(holds(value));
      vu.metrics.check(name, isHeld, { ...vu.tags(), ...tags });
      passed &&= isHeld;
    }
    return passed;
  },
  fail(message = "the script failed") {
    throw new Error(message);
  },
});

function metricsModule(vu: Context): MetricsModule {
  const ofType = (type: MetricType): MetricClass =>
    class {
      readonly #name: string;

      constructor(name: string, isTime = false) {
        this.#name = name;
        vu.metrics.declare(name, type, isTime ? "time" : "default");
      }

      add(value: number | boolean, tags: Tags = {}): void {
        vu.metrics.add(this.#name, Number(value), { ...vu.tags(), ...tags });
      }
    };
  return { Counter: ofType("counter"), Gauge: ofType("gauge"), Rate: ofType("rate"), Trend: ofType("trend") };
}

const executionModule = (context: Context): ExecutionModule => ({
  vu: {
    idInTest: context.id,
    get iterationInInstance() {
      return context.iteration;
    },
  },
  get scenario() {
    return context.scenario;
  },
  instance: {
    get currentTestRunDuration() {
      return context.testDuration();
    },
  },
});

const timersModule = (vu: Context): TimersModule => ({
  setTimeout(run, ms) {
    const timer = setTimeout(() => {
      forget();
      vu.callback(run);
    }, ms);
    const forget = vu.onEnd(() => clearTimeout(timer));
    return timer;
  },
});

/** The modules of one virtual user, by the names under which scripts import them. */
export const modulesOf = (vu: Context): Modules => ({
  k6: coreModule(vu),
  "k6/http": httpModule(vu),
  "k6/metrics": metricsModule(vu),
  "k6/execution": executionModule(vu),
  "k6/timers": timersModule(vu),
  "k6/websockets": webSocketsModule(vu),
});
