// Does each request of the mix work? Two users, all requests in turns.
import { pause } from "./lib/api.js";
import { judgeMetrics, readMetrics } from "./lib/server-metrics.js";
import { number } from "./lib/settings.js";
import { requestThresholds, TREND_STATS } from "./lib/thresholds.js";
import { actAll } from "./lib/traffic.js";
import { makeWorld } from "./lib/world.js";

export const options = {
  setupTimeout: "5m",
  summaryTrendStats: TREND_STATS,
  scenarios: {
    smoke: { executor: "constant-vus", vus: number("USERS", 2), duration: `${number("SECONDS", 10)}s` },
  },
  thresholds: requestThresholds("smoke"),
};

export async function setup() {
  const world = await makeWorld({ users: number("USERS", 2), teamSize: 2, tasks: 5 });
  return { world, metrics: await readMetrics() };
}

/** @param {Awaited<ReturnType<typeof setup>>} data */
export default async function smoke({ world }) {
  await actAll(world);
  await pause(500);
}

/** @param {Awaited<ReturnType<typeof setup>>} data */
export async function teardown({ metrics }) {
  await judgeMetrics(metrics);
}
