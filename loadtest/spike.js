// Twenty times the load within ten seconds: nothing fails, and what comes after the spike is fast again.
import { number } from "./lib/settings.js";
import { requestThresholds, TREND_STATS } from "./lib/thresholds.js";
import { act } from "./lib/traffic.js";
import { makeWorld } from "./lib/world.js";

const USERS = number("USERS", 500);
const RATE = number("RATE", 100);
const PEAK = number("PEAK", 2000);
const HOLD = number("SECONDS", 30);
/** Seconds before the peak, and its flanks. */
const [BEFORE, FLANK] = [20, 10];

export const options = {
  setupTimeout: "15m",
  summaryTrendStats: TREND_STATS,
  scenarios: {
    spike: {
      executor: "ramping-arrival-rate",
      startRate: RATE,
      stages: [
        { duration: `${BEFORE}s`, target: RATE },
        { duration: `${FLANK}s`, target: PEAK },
        { duration: `${HOLD}s`, target: PEAK },
        { duration: `${FLANK}s`, target: RATE },
      ],
      preAllocatedVUs: USERS,
      maxVUs: 2 * USERS,
    },
    after: {
      executor: "constant-arrival-rate",
      startTime: `${BEFORE + FLANK + HOLD + FLANK + 5}s`,
      rate: RATE,
      duration: "30s",
      preAllocatedVUs: Math.min(USERS, RATE),
    },
  },
  thresholds: {
    "http_req_failed{scenario:spike}": ["rate<0.001"],
    ...requestThresholds("after"),
  },
};

export async function setup() {
  return { world: await makeWorld({ users: USERS, teamSize: 5, tasks: 20 }) };
}

/** @param {Awaited<ReturnType<typeof setup>>} data */
export default async function spike({ world }) {
  await act(world);
}
