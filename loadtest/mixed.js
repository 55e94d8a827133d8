// The target: 1,000 requests a second by 500 users, four reads to a write, and people who log in meanwhile.
import exec from "k6/execution";
import { judgeMetrics, readMetrics, serverThresholds } from "./lib/server-metrics.js";
import { number } from "./lib/settings.js";
import { LATENCY, requestThresholds, TREND_STATS } from "./lib/thresholds.js";
import { act, login } from "./lib/traffic.js";
import { makeWorld } from "./lib/world.js";

const USERS = number("USERS", 500);
const RATE = number("RATE", 1000);
const LOGINS = number("LOGINS", 2);
const seconds = Math.round(60 * number("MINUTES", 3));
const duration = `${seconds}s`;

export const options = {
  setupTimeout: "15m",
  summaryTrendStats: TREND_STATS,
  scenarios: {
    mixed: {
      executor: "constant-arrival-rate",
      rate: RATE,
      duration,
      preAllocatedVUs: USERS,
      maxVUs: 2 * USERS,
    },
    logins: {
      executor: "constant-arrival-rate",
      exec: "logIn",
      rate: LOGINS,
      duration,
      preAllocatedVUs: 20,
    },
  },
  thresholds: {
    ...requestThresholds("mixed"),
    ...serverThresholds(),
    "http_req_duration{scenario:logins}": LATENCY.slice(0, 2),
    // An iteration that no user was free for is load that was not made.
    dropped_iterations: [`count<${Math.ceil(0.001 * RATE * seconds)}`],
  },
};

export async function setup() {
  const world = await makeWorld({ users: USERS, teamSize: 5, tasks: 20 });
  return { world, metrics: await readMetrics() };
}

/** @param {Awaited<ReturnType<typeof setup>>} data */
export default async function mixed({ world }) {
  await act(world);
}

/** @param {Awaited<ReturnType<typeof setup>>} data */
export async function logIn({ world }) {
  const user = world.users[exec.scenario.iterationInTest % world.users.length];
  if (user !== undefined) await login(user);
}

/** @param {Awaited<ReturnType<typeof setup>>} data */
export async function teardown({ metrics }) {
  await judgeMetrics(metrics);
}
