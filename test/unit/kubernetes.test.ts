/** k8s/ says what the program understands, and each of its objects is valid; `npm run k8s:check` applies it for real. */
import { readdirSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { type ServiceName, SERVICES } from "../../core/config.ts";
import { SECRET_READERS, VARIABLES } from "../../core/config/variables.ts";
import { headLine } from "../../scripts/kubernetes/render.ts";
import {
  configOf,
  containerOf,
  environmentOf,
  faultsOf,
  type KubernetesObject,
  nodesOf,
  objects,
  objectsOf,
  ofKind,
  OVERLAYS,
  podOf,
  read,
} from "../support/kubernetes.ts";

describe("each object", () => {
  const files = ["rendered", "examples"].flatMap((folder) =>
    readdirSync(`k8s/${folder}`).map((name) => `k8s/${folder}/${name}`),
  );
  test.each(files.filter((path) => !path.endsWith("-values.yaml")))("of %s is valid", (path) => {
    const all = objectsOf(path);
    expect(all.length).toBeGreaterThan(0);
    expect(all.flatMap(faultsOf)).toEqual([]);
  });

  test("with a misspelt field or a wrong type is not", () => {
    const [[, node]] = nodesOf("prod") as [[ServiceName, KubernetesObject]];
    const broken = structuredClone(node);
    Object.assign(containerOf(broken), { imagePolicy: "Always", ports: [{ containerPort: "http" }] });
    expect(faultsOf(broken)).toEqual([
      expect.stringMatching(/\/containers\/0 must NOT have additional properties .*imagePolicy/),
      expect.stringMatching(/\/ports\/0\/containerPort must be integer/),
    ]);
  });

  test("was rendered from the sources as they are", async () => {
    const line = await headLine();
    for (const name of Object.keys(objects))
      expect(`${name}: ${read(`k8s/rendered/${name}.yaml`).split("\n")[0]}`).toBe(`${name}: ${line}`);
  });
});

describe.each(OVERLAYS)("the nodes of %s", (overlay) => {
  const nodes = nodesOf(overlay);

  test("run each service, one a Deployment", () => {
    expect(nodes.map(([service]) => service).sort()).toEqual([...SERVICES].sort());
    for (const [service, node] of nodes) expect(configOf(overlay, node).SERVICES).toEqual([service]);
  });

  test("start with their settings and secrets, which the program reads one and all", () => {
    for (const [, node] of nodes) {
      expect(Object.keys(environmentOf(overlay, node)).filter((name) => !(name in VARIABLES))).toEqual([]);
      expect(configOf(overlay, node).production).toBe(overlay === "prod");
    }
  });

  test("have the secrets that their service reads, each by its own name, and no other", () => {
    for (const [service, node] of nodes) {
      const { env = [] } = containerOf(node);
      const secrets = env.filter(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined);
      for (const { name, valueFrom } of secrets)
        // kustomize makes the Secret of dev, and puts a hash of its values behind the name.
        expect(valueFrom?.secretKeyRef).toMatchObject({
          name: expect.stringMatching(overlay === "prod" ? /^taskwire$/ : /^taskwire-[a-z0-9]{10}$/),
          key: name,
        });
      const read = Object.entries(SECRET_READERS).filter(([, readers]) =>
        (readers as readonly ServiceName[]).includes(service),
      );
      const names = secrets.map(({ name }) => name).filter((name) => name !== "ADMIN_EMAIL");
      expect([service, ...names.sort()]).toEqual([service, ...read.map(([name]) => name).sort()]);
    }
  });

  test("listen where their ports say, and are asked at OPS_PORT by the paths that it serves", () => {
    for (const [service, node] of nodes) {
      const { PORT, NOTIFIER_PORT, OPS_PORT, HOST } = configOf(overlay, node);
      expect(HOST).toBe("0.0.0.0");
      const { ports = [], ...container } = containerOf(node);
      expect(Object.fromEntries(ports.map(({ name, containerPort }) => [name, containerPort]))).toEqual({
        ops: OPS_PORT,
        ...(service === "api-gateway" && { http: PORT }),
        ...(service === "notifier" && { ws: NOTIFIER_PORT }),
      });
      const asked = ["startup", "liveness", "readiness"].map((name) => container[`${name}Probe`]?.httpGet);
      expect(asked).toEqual(["/live", "/live", "/ready"].map((path) => ({ path, port: "ops" })));
      const served = read("mixins/ops-pages.ts");
      for (const probe of asked) expect(served).toContain(`"${probe?.path}"`);
    }
  });

  test("have the time that they need to stop", () => {
    const [, tracking] = /shutdownTimeout: ([\d_]+)/.exec(read("moleculer.config.ts")) ?? [];
    const callSeconds = Number(tracking?.replace("_", "")) / 1000;
    expect(callSeconds).toBeGreaterThan(1);
    for (const [, node] of nodes) {
      const preStop = containerOf(node).lifecycle?.preStop.sleep?.seconds ?? 0;
      expect(preStop).toBeGreaterThan(0);
      const needed = preStop + configOf(overlay, node).DRAIN_SECONDS + callSeconds;
      expect(podOf(node).terminationGracePeriodSeconds).toBeGreaterThan(needed);
    }
  });

  test("get no variables of Services, one of which is called like ours", () => {
    expect(ofKind(objects[overlay], "Service").map(({ metadata }) => metadata.name)).toContain("notifier");
    for (const [, node] of nodes) expect(podOf(node).enableServiceLinks).toBe(false);
  });
});

test("every pod is locked: no root, no rights, nothing to write to, no account, and bounds", () => {
  const pods = Object.values(objects)
    .flat()
    .filter(({ kind }) => ["Deployment", "StatefulSet", "Job"].includes(kind));
  expect(pods).toHaveLength(23);
  for (const pod of pods) {
    expect(podOf(pod)).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
    });
    expect(containerOf(pod)).toMatchObject({
      securityContext: {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      },
      resources: {
        requests: { cpu: expect.any(String), memory: containerOf(pod).resources.limits.memory },
      },
    });
  }
  const [, user] = /^USER (\d+):/m.exec(read("Dockerfile")) ?? [];
  for (const [, node] of nodesOf("prod"))
    expect(podOf(node).securityContext).toMatchObject({ runAsUser: Number(user) });
});

test("NATS, Redis and Postgres run the images of compose.yaml, and NATS takes messages of 8 MB", () => {
  const { services } = parse(read("compose.yaml"), { merge: true }) as {
    services: Record<string, { image: string }>;
  };
  const run = (name: string) =>
    objects.dev.find(
      ({ kind, metadata }) => ["Deployment", "StatefulSet"].includes(kind) && metadata.name === name,
    ) as KubernetesObject;
  for (const name of ["nats", "redis", "postgres"])
    expect(containerOf(run(name)).image).toBe(services[name]?.image);
  for (const path of ["k8s/base/nats.conf", "local/nats.conf"])
    expect(read(path)).toMatch(/^max_payload: 8MB$/m);
});
