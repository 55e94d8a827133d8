/** A script's `options`, as far as the scripts use them. What the runner does not know it refuses, and never ignores. */
import type { Stage } from "./schedules.ts";

interface Common {
  /** The exported function; `default` if it is left out. */
  exec?: string;
  startTime?: string;
  gracefulStop?: string;
}
export type Scenario = Common &
  (
    | { executor: "constant-vus"; vus: number; duration: string }
    | { executor: "ramping-vus"; startVUs?: number; stages: Stage[] }
    | ({ executor: "constant-arrival-rate"; rate: number; duration: string } & Arrival)
    | ({ executor: "ramping-arrival-rate"; startRate?: number; stages: Stage[] } & Arrival)
  );
interface Arrival {
  timeUnit?: string;
  preAllocatedVUs: number;
  maxVUs?: number;
}

export interface Options {
  scenarios: Record<string, Scenario>;
  thresholds: Record<string, string[]>;
  setupTimeout: string;
  teardownTimeout: string;
  summaryTrendStats: string[];
}

const ARRIVAL = ["timeUnit", "preAllocatedVUs", "maxVUs"];
const COMMON = ["executor", "exec", "startTime", "gracefulStop"];
const OF_EXECUTOR: Record<Scenario["executor"], string[]> = {
  "constant-vus": ["vus", "duration"],
  "ramping-vus": ["startVUs", "stages"],
  "constant-arrival-rate": ["rate", "duration", ...ARRIVAL],
  "ramping-arrival-rate": ["startRate", "stages", ...ARRIVAL],
};
const DEFAULTS: Omit<Options, "scenarios"> = {
  thresholds: {},
  setupTimeout: "60s",
  teardownTimeout: "60s",
  summaryTrendStats: ["avg", "min", "med", "max", "p(90)", "p(95)"],
};

function mustKnow(what: string, given: object, known: string[]): void {
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new Error(`the Node runner does not know ${unknown.join(", ")} of ${what}: run the script with k6`);
}

/** @throws Error for an option that the runner does not know */
export function parseOptions(given: unknown): Options {
  const options = { ...DEFAULTS, ...(given as Partial<Options>) };
  mustKnow("options", options, ["scenarios", ...Object.keys(DEFAULTS)]);
  const { scenarios } = options;
  if (scenarios === undefined || Object.keys(scenarios).length === 0)
    throw new Error("options.scenarios is empty: the Node runner needs a scenario");
  for (const [name, scenario] of Object.entries(scenarios)) {
    const known = OF_EXECUTOR[scenario.executor] as string[] | undefined;
    if (known === undefined)
      throw new Error(
        `the Node runner does not know the executor ${scenario.executor} of ${name}: run the script with k6`,
      );
    mustKnow(`the scenario ${name}`, scenario, [...COMMON, ...known]);
  }
  return { ...options, scenarios };
}
