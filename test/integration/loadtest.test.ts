/** The scripts of loadtest/, run by its Node runner as `npm run loadtest` does, against the whole system. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { freePort } from "../../local/ports.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { runProgram } from "../support/program.ts";

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

let node: TestNode;
let target: Record<string, string>;
/** All run at the same time: most of it is waiting. */
let runs: Record<"smoke" | "fanout" | "mixed" | "unreachable", Promise<Ended>>;

const RUNNER = fileURLToPath(new URL("../../loadtest/runner/main.ts", import.meta.url));
const script = (name: string): string => fileURLToPath(new URL(`../../loadtest/${name}.js`, import.meta.url));
const run = (name: string, env: Record<string, string>): Promise<Ended> =>
  runProgram(RUNNER, { ...target, ...env }, [script(name)]).ended;
/** The numbers of a counter's or a gauge's line in the summary. */
const counted = (output: string, name: string): number =>
  Number(new RegExp(`^ {4}${name}\\.+: ([\\d.]+)`, "m").exec(output)?.[1]);

beforeAll(async () => {
  const OPS_PORT = await freePort();
  node = await startTestNode({ OPS_PORT });
  target = { BASE_URL: node.url, METRICS_URLS: `http://127.0.0.1:${OPS_PORT}/metrics` };
  const mixed = { USERS: "2", RATE: "20", LOGINS: "1", MINUTES: "0.02" };
  runs = {
    smoke: run("smoke", { SECONDS: "1" }),
    fanout: run("fanout", { USERS: "2", SOCKETS: "4", RAMP: "1", SECONDS: "1", WRITES: "5" }),
    mixed: run("mixed", mixed),
    unreachable: run("mixed", { ...mixed, BASE_URL: `http://127.0.0.1:${await freePort()}` }),
  };
});
afterAll(() => node?.stop());

test("smoke: each request of the mix succeeds, and the system's own metrics are read", async () => {
  const { stdout, stderr } = await runs.smoke;
  expect(stderr).toBe("");
  expect(stdout).toContain("not k6");
  expect(stdout).toMatch(/^ {4}checks_failed\.+: 0\.00%/m);
  expect(stdout).toMatch(/^ {4}✓ POST \/tasks\/\{id\}\/transitions answers 200 or 201$/m);
  expect(counted(stdout, "http_reqs")).toBeGreaterThan(15);
  expect(stdout).toMatch(/^ {4}database_p95\.+: [\d.]+(µs|ms)/m);
  expect(counted(stdout, "memory_growth_mb")).not.toBeNaN();
});

test("fanout: every socket gets every event once, in order", async () => {
  const { stdout, stderr } = await runs.fanout;
  expect(stderr).toBe("");
  expect(counted(stdout, "ws_sessions")).toBe(4);
  // Four sockets get five events each. One that was slow to open may have joined after some of them.
  const received = counted(stdout, "events_received");
  expect(received).toBeGreaterThan(0);
  expect(received).toBeLessThanOrEqual(4 * 5);
  for (const none of ["events_missed", "events_out_of_order", "sockets_lost"])
    expect(stdout).toMatch(new RegExp(`${none}\\n {4}✓ 'count==0' no samples$`, "m"));
  expect(stdout).toMatch(/✓ GET \/projects\/\{project\}\/events answers 200 /);
});

test("a threshold that fails ends with 99, and a system that is away with 1", async () => {
  const [failed, unreachable] = await Promise.all([runs.mixed, runs.unreachable]);
  // Each task is read about once: nothing can be in the cache nine times out of ten.
  expect(failed.stdout).toMatch(/✗ 'value>=0\.9' value=0\.\d+/);
  expect(failed.code).toBe(99);
  expect(unreachable.code).toBe(1);
  expect(unreachable.stderr).toContain("POST /auth/register: 0 connect ECONNREFUSED");
});
