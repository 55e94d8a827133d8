import { describe, expect, test } from "@jest/globals";
import { parseOptions } from "../../bench/requests/options.ts";
import { moduleOf, summarise } from "../../bench/requests/profile-summary.ts";
import { comparison, type Run, table } from "../../bench/requests/report.ts";

describe("the options of npm run bench", () => {
  test("a beginning names all operations that begin so", () => {
    const options = parseOptions(["--only", "get,create", "--against", "bare,cluster", "--seconds", "2"]);
    expect(options).toMatchObject({
      operations: ["get-cached", "get-uncached", "create"],
      servers: ["cluster", "bare"],
      seconds: 2,
    });
  });

  test("an operation that is profiled is measured too", () => {
    expect(parseOptions(["--profile", "patch"])).toMatchObject({ operations: ["patch"], profile: ["patch"] });
  });

  test.each([
    [["--only", "gets"], /"gets" is not one of list-cached/],
    [["--against", "express"], /"express" is not one of cluster/],
    [["--seconds", "0"], /not a number from 0.1 on/],
    [["--fast"], /--fast/],
  ])("%j is refused", (args, message) => {
    expect(() => parseOptions(args)).toThrow(message);
  });
});

const cell = (perSecond: number, cpu: Record<string, number>, ratio: number | null = null) => ({
  requests: 100,
  perSecond,
  p50: 1,
  p99: 2,
  cpu,
  ratio,
});

const run = (commit: string, gateway: number): Run => ({
  commit,
  at: "2026-11-26T18:00:00.000Z",
  node: "v24",
  cpus: 2,
  load: [0, 1],
  seconds: 1,
  rounds: 1,
  connections: 16,
  operations: ["get-cached"],
  servers: ["cluster", "bare"],
  cells: [[cell(500, { Postgres: 0.2, gateway, NATS: 100 }, 0.5), cell(1000, { server: 200 })]],
});

test("a table compares requests and CPU time with the bare server", () => {
  const lines = table(run("abc", 300)).map((line) => line.trim().replace(/ +/g, " "));
  expect(lines).toContain("cluster 500 0.50 1.0 2.0 400 2.00 gateway 300, NATS 100");
  expect(lines).toContain("bare 1,000 1.0 2.0 200 server 200");
});

test("two runs are compared where both measured", () => {
  const before = { ...run("old", 600), servers: ["cluster", "other"] };
  const lines = comparison(before, run("new", 300)).join("\n");
  expect(lines).toContain("CPU µs 700 → 400 (×0.57): gateway 600 → 300 (×0.50), NATS 100 → 100 (×1.00)");
  expect(lines).not.toContain("bare");
});

describe("a profile", () => {
  const root = new URL("../../", import.meta.url).href;

  test.each([
    [`${root}services/tasks/tasks.actions.ts`, "services/tasks"],
    [`${root}core/kit.ts`, "core"],
    [`${root}node_modules/@socket.io/redis-adapter/dist/index.js`, "@socket.io/redis-adapter"],
    ["node:_http_outgoing", "node: http"],
    ["node:net", "node: sockets, streams"],
  ])("%s belongs to %s", (url, module) => {
    expect(moduleOf(url)).toBe(module);
  });

  test("Node's functions count for their callers too, and idle time for nobody", () => {
    const frame = (functionName: string, url = "") => ({ functionName, url, lineNumber: 9 });
    const nats = `${root}node_modules/nats/lib/transport.js`;
    const summary = summarise({
      nodes: [
        { id: 1, callFrame: frame("(root)"), children: [2, 3, 6] },
        { id: 2, callFrame: frame("(idle)") },
        { id: 3, callFrame: frame("send", nats), children: [4] },
        { id: 4, callFrame: frame("write", "node:net"), children: [5] },
        { id: 5, callFrame: frame("writev") },
        { id: 6, callFrame: frame("(program)") },
      ],
      samples: [2, 3, 3, 5, 5, 6],
      timeDeltas: [1000, 10, 10, 10, 10, 10],
    });
    expect(summary.modules).toEqual([
      { name: "nats", own: 0.4, withNode: 0.8 },
      { name: "(program)", own: 0.2, withNode: 0.2 },
      { name: "node: sockets, streams", own: 0.4, withNode: 0 },
    ]);
    expect(summary.functions).toEqual([
      ["send  nats/lib/transport.js:10", 0.4],
      ["writev  native, for nats", 0.4],
      ["(program)", 0.2],
    ]);
  });
});
