/** The steps of `npm run k8s:check` in the production namespace: a new image, an eviction, a drain. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../../local/until.ts";
import { apply, fewestAvailable, kubectl, mustRefuse, podsOf, rolledOut } from "./kubectl.ts";
import { renderedFile } from "./render.ts";

const NAMESPACE = "taskwire";
const NODES_OF_US = "app.kubernetes.io/name=taskwire,app.kubernetes.io/component!=migrate";
const MACHINES = ["node-a-1", "node-a-2", "node-b-1"];
/** Milliseconds in which a control plane on a busy machine gets to something. */
const PATIENCE_MS = 60_000;

const said = (seen: Map<string, { fewest: number; wanted: number }>): string =>
  [...seen].map(([name, { fewest, wanted }]) => `${name} ${fewest}/${wanted}`).join(", ");

/** Waits until the HorizontalPodAutoscalers have brought their Deployments to the least number. @returns those numbers */
export async function autoscaled(): Promise<string> {
  const path = "{range .items[*]}{.metadata.name} {.spec.minReplicas} {.status.desiredReplicas}{'\\n'}{end}";
  const read = async (): Promise<string[][]> => {
    const text = await kubectl(["get", "hpa", "--namespace", NAMESPACE, "--output", `jsonpath=${path}`]);
    return text.split("\n").map((line) => line.split(" "));
  };
  if (!(await until(async () => (await read()).every(([, least, now]) => least === now), PATIENCE_MS)))
    throw new Error(`the autoscalers did nothing: ${JSON.stringify(await read())}`);
  return (await read()).map(([name, , now]) => `${name} ${now}`).join(", ");
}

/** @returns how many machines each Deployment's pods are on @throws Error when two pods share one without need */
export async function mustBeSpread(machines: number): Promise<string> {
  const places = new Map<string, string[]>();
  for (const { metadata, spec } of await podsOf(NAMESPACE, NODES_OF_US)) {
    const component = metadata.labels["app.kubernetes.io/component"] as string;
    places.set(component, [...(places.get(component) ?? []), spec.nodeName ?? "nowhere"]);
  }
  for (const [component, on] of places)
    if (new Set(on).size !== Math.min(on.length, machines))
      throw new Error(`${component} is not spread over ${machines} machines: ${on.join(", ")}`);
  return [...places].map(([component, on]) => `${component} ${new Set(on).size}`).join(", ");
}

/** Rolls another image out. @param folder for the changed file @returns the fewest pods that were available meanwhile */
export async function rollOut(folder: string): Promise<string> {
  const rendered = await readFile(renderedFile("prod"), "utf8");
  const file = join(folder, "next.yaml");
  await writeFile(file, rendered.replaceAll(/(image: \S+\/taskwire):\S+/g, "$1:next"));
  const seen = await fewestAvailable(NAMESPACE, async () => {
    await apply("--filename", file);
    await rolledOut(NAMESPACE);
  });
  const pods = await podsOf(NAMESPACE, NODES_OF_US);
  const old = pods.filter((pod) => !JSON.stringify(pod.spec).includes("/taskwire:next"));
  if (old.length > 0) throw new Error(`${old.length} pods have the old image`);
  for (const [name, { fewest, wanted }] of seen)
    if (fewest < wanted && name !== "redis") throw new Error(`${name} had ${fewest} of ${wanted} pods`);
  return `${pods.length} pods have the new image; the fewest that were available: ${said(seen)}`;
}

/** Evicts a pod that has nowhere to go. @returns the API server's refusal to evict a second one */
export async function mustKeepBudget(folder: string): Promise<string> {
  const [first, second] = await podsOf(NAMESPACE, "app.kubernetes.io/component=api-gateway");
  const evict = async (name: string): Promise<string[]> => {
    const file = join(folder, `${name}.json`);
    const body = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace: NAMESPACE } };
    await writeFile(file, JSON.stringify(body));
    return ["create", "--filename", file, "--raw", `/api/v1/namespaces/${NAMESPACE}/pods/${name}/eviction`];
  };
  if (first === undefined || second === undefined) throw new Error("there are fewer than two gateways");
  await kubectl(["cordon", ...MACHINES]);
  try {
    await kubectl(await evict(first.metadata.name));
    return await mustRefuse(
      await evict(second.metadata.name),
      /Cannot evict pod as it would violate the pod's disruption budget[^\n]*/,
    );
  } finally {
    await kubectl(["uncordon", ...MACHINES]);
    await rolledOut(NAMESPACE);
  }
}

/** Drains a machine. @returns the fewest pods that were available meanwhile */
export async function drain(machine: string): Promise<string> {
  const seen = await fewestAvailable(NAMESPACE, async () => {
    await kubectl(["drain", machine, "--delete-emptydir-data", "--timeout=180s"], 200);
    await rolledOut(NAMESPACE);
  });
  const left = (await podsOf(NAMESPACE, NODES_OF_US)).filter(({ spec }) => spec.nodeName === machine);
  if (left.length > 0) throw new Error(`${left.length} pods are still on ${machine}`);
  for (const [name, { fewest, wanted }] of seen)
    if (fewest < wanted - 1)
      throw new Error(`${name} had ${fewest} of ${wanted} pods while ${machine} was drained`);
  return `${machine} is empty; the fewest pods that were available: ${said(seen)}`;
}
