/** How k8s/overlays/prod scales, is reached, watched and migrated, and who may reach whom in it. */
import { describe, expect, test } from "@jest/globals";
import { type ServiceName, SERVICES } from "../../core/config.ts";
import { SECRET_READERS } from "../../core/config/variables.ts";
import {
  configOf,
  containerOf,
  type KubernetesObject,
  nodesOf,
  objects,
  objectsOf,
  ofKind,
  OVERLAYS,
  read,
} from "../support/kubernetes.ts";

describe("in production", () => {
  const named = (kind: string, name: string): KubernetesObject =>
    objects.prod.find((object) => object.kind === kind && object.metadata.name === name) as KubernetesObject;

  test("the Ingress leads sockets to notifiers, sticky by a cookie, and the rest to gateways, at APP_URL", () => {
    const [[, gateway]] = nodesOf("prod") as [[ServiceName, KubernetesObject]];
    const host = new URL(configOf("prod", gateway).APP_URL).host;
    const backend = (service: string, port: string) => ({ service: { name: service, port: { name: port } } });
    const rule = (path: string, target: object) => ({
      tls: [{ hosts: [host] }],
      rules: [{ host, http: { paths: [{ path, pathType: "Prefix", backend: target }] } }],
    });
    expect(named("Ingress", "api").spec).toMatchObject(rule("/", backend("api-gateway", "http")));
    expect(named("Ingress", "sockets").spec).toMatchObject(rule("/ws", backend("notifier", "ws")));
    expect(named("Ingress", "sockets").metadata.annotations).toHaveProperty([
      "haproxy.org/cookie-persistence",
    ]);
    expect(read("services/notifier/notifier.service.ts")).toContain('path: "/ws"');
    for (const service of ["api-gateway", "notifier"])
      expect(named("Service", service).spec.ports).toEqual([
        expect.objectContaining({ targetPort: service === "notifier" ? "ws" : "http" }),
      ]);
  });

  test("each service and NATS lose one pod at a time", () => {
    const budgets = ofKind(objects.prod, "PodDisruptionBudget");
    expect(budgets.map(({ metadata }) => metadata.name).sort()).toEqual([...SERVICES, "nats"].sort());
    for (const { metadata, spec } of budgets) {
      expect(spec.maxUnavailable).toBe(1);
      const { matchLabels } = (named("Deployment", metadata.name) ?? named("StatefulSet", metadata.name)).spec
        .selector as { matchLabels: object };
      expect(spec.selector).toEqual({ matchLabels });
    }
  });

  test("autoscalers count what there is, and all the pods they may make fit into the Postgres of the example", () => {
    const scalers = ofKind(objects.prod, "HorizontalPodAutoscaler");
    expect(scalers.map(({ metadata }) => metadata.name).sort()).toEqual(["api-gateway", "notifier", "tasks"]);
    const metrics = JSON.stringify(scalers.map(({ spec }) => spec.metrics));
    const [, sockets = ""] = /"metric":\{"name":"(\w+)"\}/.exec(metrics) ?? [];
    expect(read("docs/metrics.md")).toContain(`| \`${sockets}\` `);
    expect(read("k8s/examples/prometheus-adapter-values.yaml")).toContain(`name: { as: ${sockets} }`);

    const most = nodesOf("prod").map(([service, node]) => {
      const scaler = scalers.find(({ metadata }) => metadata.name === service);
      if (scaler !== undefined) expect(node.spec.replicas).toBeUndefined();
      const pods = Number(scaler?.spec.maxReplicas ?? node.spec.replicas) + 1;
      return pods * configOf("prod", node).DATABASE_POOL;
    });
    const [cluster] = objectsOf("k8s/examples/cloudnative-pg.yaml");
    const { parameters } = cluster?.spec.postgresql as { parameters: { max_connections: string } };
    expect(most.reduce((sum, connections) => sum + connections)).toBeLessThan(
      Number(parameters.max_connections),
    );
  });

  test("Prometheus finds each node by a Service of its own, at the port and path of its metrics", () => {
    const { matchLabels } = named("ServiceMonitor", "taskwire").spec.selector as {
      matchLabels: Record<string, string>;
    };
    const found = ofKind(objects.prod, "Service").filter(({ metadata }) =>
      Object.entries(matchLabels).every(([label, value]) => metadata.labels?.[label] === value),
    );
    expect(found.map(({ metadata }) => metadata.name)).toEqual(["nodes"]);
    expect(found[0]?.spec).toMatchObject({ selector: { "app.kubernetes.io/name": "taskwire" } });
    expect(named("ServiceMonitor", "taskwire").spec.endpoints).toEqual([
      expect.objectContaining({
        port: "ops",
        path: "/metrics",
        authorization: { type: "Bearer", credentials: { name: "taskwire", key: "METRICS_TOKEN" } },
      }),
    ]);
  });

  test("labels of Prometheus take the place of no label that a metric has", () => {
    const rows = [...read("docs/metrics.md").matchAll(/^\| `\w+` +\| \w+ +\| ([^|]*)\|/gm)];
    const own = new Set(
      rows.flatMap(([, labels = ""]) => [...labels.matchAll(/`(\w+)`/g)].map(([, one]) => one)),
    );
    expect(own).toContain("service");
    const [endpoint] = named("ServiceMonitor", "taskwire").spec.endpoints as [
      { relabelings: { targetLabel?: string; action?: string; regex?: string }[] },
    ];
    const dropped = endpoint.relabelings
      .filter(({ action }) => action === "labeldrop")
      .map(({ regex }) => regex);
    // Those that the operator sets for each target of a ServiceMonitor.
    const theirs = ["job", "instance", "namespace", "service", "pod", "container", "endpoint"];
    const set = [...theirs, ...endpoint.relabelings.map(({ targetLabel }) => targetLabel)];
    expect(set.filter((label) => own.has(label) && !dropped.includes(label))).toEqual([]);
  });

  test("the migration runs the nodes' image as the owner, and takes a plan that was approved", () => {
    const [job] = ofKind(objects["prod-migrate"], "Job") as [KubernetesObject];
    const { image, env, command = [] } = containerOf(job);
    for (const [, node] of nodesOf("prod")) expect(containerOf(node).image).toBe(image);
    expect(command.slice(0, 2)).toEqual(["node", "scripts/migrate.ts"]);
    expect(env?.map(({ name }) => name)).toEqual(["PLAN", "DATABASE_URL"]);
  });

  test("the examples make each secret that a pod refers to", () => {
    const [external] = objectsOf("k8s/examples/external-secrets.yaml") as [KubernetesObject];
    const { target } = external.spec as unknown as {
      target: { name: string; template: { data: Record<string, string> } };
    };
    const pods = [...objects.prod, ...objects["prod-migrate"]].filter(
      ({ spec }) => spec?.template !== undefined,
    );
    const references = pods.flatMap((pod) =>
      (containerOf(pod).env ?? []).flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []),
    );
    const missing = references.filter(
      ({ name, key }) => !(name === target.name && key in target.template.data),
    );
    const rest = new Set(missing.map(({ name, key }) => `${name}/${key}`));
    // CloudNativePG makes the first; the second is there during a rotation alone.
    expect([...rest].sort()).toEqual(["taskwire-db-app/uri", "taskwire/JWT_SECRET_PREVIOUS"]);
  });
});

/** A NetworkPolicy's flows as text: who may reach whom, at which port. */
describe("the network lets through", () => {
  interface Selector {
    matchLabels?: Record<string, string>;
    matchExpressions?: { values: string[]; operator: string }[];
  }
  interface Peer {
    podSelector?: Selector;
    namespaceSelector?: Selector;
    ipBlock?: { cidr: string };
  }
  interface Policy {
    podSelector: Selector;
    policyTypes: string[];
    ingress?: { from: Peer[]; ports: { port: number | string }[] }[];
    egress?: { to: Peer[]; ports: { port: number | string }[] }[];
  }
  const selected = ({ matchLabels = {}, matchExpressions = [] }: Selector): string => {
    const { "app.kubernetes.io/name": name, "app.kubernetes.io/component": component } = matchLabels;
    const which = matchExpressions.map(({ operator, values }) => `${operator} ${values.join()}`);
    return [component ?? name ?? Object.values(matchLabels)[0] ?? "any", ...which].join(" ");
  };
  const peer = ({ podSelector, namespaceSelector, ipBlock }: Peer): string =>
    ipBlock?.cidr ??
    [namespaceSelector, podSelector].flatMap((part) => (part === undefined ? [] : selected(part))).join("/");

  test("what the design says, and nothing else", () => {
    const flows = ofKind(objects.prod, "NetworkPolicy").flatMap(({ spec }) => {
      const { podSelector, ingress = [], egress = [] } = spec as unknown as Policy;
      const at = (ports: { port: number | string }[]): string => ports.map(({ port }) => port).join();
      return [
        ...ingress.map(
          ({ from, ports }) => `${from.map(peer).join()} -> ${selected(podSelector)}:${at(ports)}`,
        ),
        ...egress.map(({ to, ports }) => `${selected(podSelector)} => ${to.map(peer).join()}:${at(ports)}`),
      ];
    });
    const cachers = "taskwire In api-gateway,notifier,users,projects,tasks";
    expect(flows.sort()).toEqual(
      [
        "any => kube-system/kube-dns:53,53",
        "haproxy-controller -> api-gateway:http",
        "haproxy-controller -> notifier:ws",
        "monitoring -> taskwire:ops",
        "taskwire => taskwire-db:5432",
        "taskwire NotIn migrate => nats:client",
        "taskwire NotIn migrate -> nats:client",
        "nats -> nats:cluster",
        "nats => nats:cluster",
        `${cachers} => redis:redis`,
        `${cachers} -> redis:redis`,
        "mailer => 0.0.0.0/0,::/0:465,587",
      ].sort(),
    );
    expect([...SECRET_READERS.REDIS_URL].sort()).toEqual(cachers.split(" ").at(-1)?.split(",").sort());
  });

  test.each(OVERLAYS)("nothing by default in %s", (overlay) => {
    const [nothing] = ofKind(objects[overlay], "NetworkPolicy").filter(
      ({ metadata }) => metadata.name === "nothing",
    );
    expect(nothing?.spec).toEqual({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
  });
});
