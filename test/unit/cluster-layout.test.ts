import { expect, test } from "@jest/globals";
import { type Config, SERVICES } from "../../core/config.ts";
import { connectionsOf } from "../../core/connections.ts";
import { clusterNodes, portsAfter } from "../../local/cluster-layout.ts";
import { readSizes } from "../../local/cluster-options.ts";

test("the usual cluster has eight nodes, at the ports after its proxy's", () => {
  const nodes = clusterNodes(portsAfter(3000, readSizes([]), 9000));
  expect(nodes).toEqual({
    gateway: { SERVICES: "api-gateway", PORT: "3003", OPS_PORT: "9000" },
    auth: { SERVICES: "auth", OPS_PORT: "9001" },
    users: { SERVICES: "users,mailer,jobs", OPS_PORT: "9002" },
    projects: { SERVICES: "projects", OPS_PORT: "9003" },
    "tasks-1": { SERVICES: "tasks", OPS_PORT: "9004" },
    "tasks-2": { SERVICES: "tasks", OPS_PORT: "9005" },
    "notifier-1": { SERVICES: "notifier", NOTIFIER_PORT: "3001", OPS_PORT: "9006" },
    "notifier-2": { SERVICES: "notifier", NOTIFIER_PORT: "3002", OPS_PORT: "9007" },
  });
});

test("--gateways 2 --tasks 3 --notifiers 1: no port twice, and one of a kind has no number", () => {
  const sizes = readSizes(["--gateways", "2", "--tasks=3", "--notifiers", "1"]);
  const nodes = clusterNodes(portsAfter(3000, sizes, 0), sizes);
  expect(Object.keys(nodes)).toEqual([
    ...["gateway-1", "gateway-2", "auth", "users", "projects"],
    ...["tasks-1", "tasks-2", "tasks-3", "notifier"],
  ]);
  const { "gateway-1": first, "gateway-2": second, notifier } = nodes;
  expect([first?.PORT, second?.PORT, notifier?.NOTIFIER_PORT]).toEqual(["3002", "3003", "3001"]);
});

test.each([[["--tasks", "0"]], [["--tasks", "21"]], [["--tasks", "two"]], [["--mailers", "2"]], [["3"]]])(
  "%j is refused with its usage",
  (args) => {
    expect(() => readSizes(args)).toThrow(/^Usage: npm run cluster -- \[--gateways N\] .*each from 1 to 20$/);
  },
);

test.each<[string, Partial<Config>, number]>([
  ["a gateway", { SERVICES: ["api-gateway"] }, 22],
  ["a tasks node, with its snapshots", { SERVICES: ["tasks"] }, 28],
  ["a node of users, mailer and jobs", { SERVICES: ["users", "mailer", "jobs"], SMTP_URL: "smtp://m" }, 31],
  ["a mailer without a mail server", { SERVICES: ["mailer"] }, 22],
  ["everything, with a small pool", { SERVICES: [...SERVICES], DATABASE_POOL: 1 }, 16],
])("%s opens so many connections to Postgres at most", (_, config, count) => {
  expect(connectionsOf({ DATABASE_POOL: 10, SMTP_URL: "", SERVICES: [], ...config })).toBe(count);
});
