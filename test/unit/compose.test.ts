/** compose.yaml and its proxy say what the program understands; `npm run compose:check` brings them up. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { loadConfig, SERVICES } from "../../core/config.ts";
import { VARIABLES } from "../../core/config/variables.ts";

interface Service {
  image: string;
  build?: string;
  command?: string[];
  environment?: Record<string, string>;
  depends_on?: Record<string, { condition: string }> | string[];
  volumes?: string[];
  networks: string[];
  healthcheck?: { test?: string[] };
  profiles?: string[];
  ports?: string[];
}

const read = (path: string): string => readFileSync(path, "utf8");
const { services } = parse(read("compose.yaml"), { merge: true }) as { services: Record<string, Service> };
const ours = Object.entries(services).filter(([, { build }]) => build !== undefined);
const nodes = ours.filter(([name]) => name !== "migrate");

/** A value as Docker Compose makes it of `${NAME:-default}`, defaults within defaults too. */
function interpolate(value: string, env: Record<string, string>): string {
  const inner = /\$\{(\w+):-([^${}]*)\}/;
  let text = value;
  for (let found = inner.exec(text); found !== null; found = inner.exec(text))
    text = text.replace(found[0], env[found[1] as string] || (found[2] as string));
  return text;
}
const environmentOf = ({ environment = {} }: Service, env: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, interpolate(value, env)]));

describe("each node of compose.yaml", () => {
  test("sets variables that the program reads, and no other", () => {
    const set = new Set(ours.flatMap(([, { environment = {} }]) => Object.keys(environment)));
    expect(set.size).toBeGreaterThan(10);
    expect([...set].filter((name) => !(name in VARIABLES))).toEqual([]);
  });

  test("starts without settings, as an evaluation that mails to its own address", () => {
    for (const [, node] of nodes) {
      const config = loadConfig(environmentOf(node, {}));
      expect(config.production).toBe(false);
      expect(config.APP_URL).toBe("http://127.0.0.1:3000");
      expect(config.TRUST_PROXY).toBe(1);
    }
  });

  test("refuses production without a secret, and takes it with the variables of .env.example", () => {
    const [, gateway] = nodes[0] as [string, Service];
    expect(() => loadConfig(environmentOf(gateway, { NODE_ENV: "production" }))).toThrow(/^JWT_SECRET: set/);
    const example = Object.fromEntries(
      [...read(".env.example").matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value as string]),
    ) as Record<string, string>;
    const filled = { ...example, JWT_SECRET: "of-my-own-".repeat(4) };
    for (const [, node] of nodes) expect(loadConfig(environmentOf(node, filled)).production).toBe(true);
  });

  test("has a service, two have gateways and two notifiers, and none is left out", () => {
    const run = nodes.map(([, { environment }]) => environment?.SERVICES as string).sort();
    expect(run).toEqual([...SERVICES, "api-gateway", "notifier"].sort());
  });

  test("that is a notifier starts as in k8s/, with a bounded young generation", () => {
    interface Deployment {
      spec: { template: { spec: { containers: [{ command: string[] }] } } };
    }
    const deployment = parse(read("k8s/base/nodes/notifier.yaml")) as Deployment;
    const [{ command }] = deployment.spec.template.spec.containers;
    const notifiers = nodes.filter(([, { environment }]) => environment?.SERVICES === "notifier");
    for (const [, notifier] of notifiers) expect(notifier.command).toEqual(command);
    // A million small objects, of which some live: V8 makes the young generation as large as it may be.
    const program = `
      for (let all = [], at = 0; at < 1e6; at++) { all.push([at]); if (at % 100_000 === 0) all = []; }
      const spaces = require("node:v8").getHeapSpaceStatistics();
      console.log(spaces.find(({ space_name }) => space_name === "new_space").space_size);`;
    const [node = "", ...args] = [...command.slice(0, -1), "-e", program];
    expect(Number(execFileSync(node, args, { encoding: "utf8" }))).toBeLessThanOrEqual(2 * 16 * 2 ** 20);
  });

  test("waits for the migration, and the proxy for each of them to be ready", () => {
    for (const [, { depends_on }] of nodes)
      expect(depends_on).toMatchObject({ migrate: { condition: "service_completed_successfully" } });
    expect(services.proxy?.depends_on).toEqual(
      Object.fromEntries(nodes.map(([name]) => [name, { condition: "service_healthy" }])),
    );
  });

  test("has the health check of the image, which reads /ready on its OPS_PORT", () => {
    const [, check = ""] = /HEALTHCHECK .*CMD (\[.*\])/.exec(read("Dockerfile")) ?? [];
    for (const [, { healthcheck }] of nodes)
      expect(healthcheck?.test).toEqual(["CMD", ...(JSON.parse(check) as string[])]);
  });
});

test("databases and brokers have no way out and no port of the machine; the proxy has none to them", () => {
  for (const name of ["postgres", "nats", "redis"]) {
    expect(services[name]?.networks).toEqual(["data"]);
    expect(services[name]?.ports).toBeUndefined();
  }
  expect(services.proxy?.networks).toEqual(["outside"]);
  const published = Object.values(services).flatMap(({ ports = [] }) =>
    ports.map((port) => interpolate(port, {})),
  );
  expect(published.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
});

test("each file that a service without a profile mounts is in the repository", () => {
  const mounted = Object.values(services)
    .filter(({ profiles }) => profiles === undefined)
    .flatMap(({ volumes = [] }) => volumes.filter((volume) => volume.startsWith("./")))
    .map((volume) => volume.split(":")[0] as string);
  expect(mounted).toHaveLength(2);
  expect(mounted.filter((path) => !existsSync(path))).toEqual([]);
});

test("the proxy sends requests to the gateways and sockets to the notifiers, and asks at the image's OPS_PORT", () => {
  const haproxy = read("compose/haproxy.cfg");
  const { PORT, NOTIFIER_PORT } = loadConfig({});
  const running = (service: string): string[] =>
    nodes.filter(([, { environment }]) => environment?.SERVICES === service).map(([name]) => name);
  const servers = [...haproxy.matchAll(/^ {2}server (\S+) (\S+)$/gm)].map(([, , address]) => address);
  expect(servers).toEqual([
    ...running("api-gateway").map((name) => `${name}:${PORT}`),
    ...running("notifier").map((name) => `${name}:${NOTIFIER_PORT}`),
  ]);
  const [, ops] = /OPS_PORT=(\d+)/.exec(read("Dockerfile")) ?? [];
  expect(haproxy).toContain(`check port ${ops} `);
});
