// An hour at a steady pace: does memory grow, do answers become slower?
import { judgeMetrics, readMetrics, serverThresholds } from "./lib/server-metrics.js";
import { METRICS_URLS, number } from "./lib/settings.js";
import { requestThresholds, TREND_STATS } from "./lib/thresholds.js";
import { act } from "./lib/traffic.js";
import { makeWorld } from "./lib/world.js";

const USERS = number("USERS", 500);

export const options = {
  setupTimeout: "15m",
  summaryTrendStats: TREND_STATS,
  scenarios: {
    soak: {
      executor: "constant-arrival-rate",
      rate: number("RATE", 200),
      duration: `${Math.round(60 * number("MINUTES", 60))}s`,
      preAllocatedVUs: USERS,
    },
  },
  thresholds: {
    ...requestThresholds("soak"),
    ...serverThresholds(),
    ...(METRICS_URLS.length === 0 ? {} : { memory_growth_mb: ["value<300"] }),
  },
};

export async function setup() {
  const world = await makeWorld({ users: USERS, teamSize: 5, tasks: 20 });
  return { world, metrics: await readMetrics() };
}

/** @param {Awaited<ReturnType<typeof setup>>} data */
export default async function soak({ world }) {
  await act(world);
}

/** @param {Awaited<ReturnType<typeof setup>>} data */
export async function teardown({ metrics }) {
  await judgeMetrics(metrics);
}
