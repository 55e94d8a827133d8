/** kubectl against the control plane of `npm run k8s:check`, and what its fake cluster shows. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { run } from "../containers/commands.ts";

/** Runs kubectl. @param seconds in which it must end @returns its stdout @throws Error with its last lines */
export const kubectl = (args: string[], seconds = 120): Promise<string> => run("kubectl", args, { seconds });

/** Applies as the API server merges fields, and refuses fields that it doesn't know. @returns the lines of what it applied */
export async function apply(...args: string[]): Promise<string[]> {
  const lines = await kubectl(["apply", "--server-side", "--validate=strict", ...args]);
  return lines.split("\n").filter((line) => line.endsWith("serverside-applied"));
}

/** @throws Error when the API server takes what it has to refuse, or refuses it for another reason */
export async function mustRefuse(args: string[], why: RegExp): Promise<string> {
  const refusal = await kubectl(args).then(
    () => "",
    (error: unknown) => String(error),
  );
  const [line] = why.exec(refusal) ?? [];
  if (line === undefined)
    throw new Error(`kubectl ${args.join(" ")} was not refused by ${why.source}: ${refusal}`);
  return line;
}

export interface Pod {
  metadata: { name: string; labels: Record<string, string>; deletionTimestamp?: string };
  spec: { nodeName?: string };
  status: { phase: string };
}

/** The pods of a namespace that run, without those that go. @param selector of labels */
export async function podsOf(namespace: string, selector: string): Promise<Pod[]> {
  const text = await kubectl([
    "get",
    "pods",
    "--namespace",
    namespace,
    "--selector",
    selector,
    "--output",
    "json",
  ]);
  return (JSON.parse(text) as { items: Pod[] }).items.filter(
    ({ metadata, status }) => metadata.deletionTimestamp === undefined && status.phase === "Running",
  );
}

/** Waits until each Deployment and each StatefulSet of a namespace has rolled out. @returns how many pods they want */
export async function rolledOut(namespace: string): Promise<number> {
  const names = (
    await kubectl(["get", "deployments,statefulsets", "--namespace", namespace, "--output", "name"])
  ).split("\n");
  for (const name of names)
    await kubectl(["rollout", "status", "--namespace", namespace, "--timeout=180s", name], 200);
  const wanted = await kubectl([
    ...["get", "deployments,statefulsets", "--namespace", namespace],
    ...["--output", "jsonpath={range .items[*]}{.spec.replicas}{'\\n'}{end}"],
  ]);
  return wanted.split("\n").reduce((sum, replicas) => sum + Number(replicas), 0);
}

/**
 * Follows the Deployments of a namespace while something is done.
 * @returns of each Deployment the fewest pods that were available, and how many it wants
 */
export async function fewestAvailable(
  namespace: string,
  work: () => Promise<unknown>,
): Promise<Map<string, { fewest: number; wanted: number }>> {
  const columns = "{.metadata.name} {.spec.replicas} {.status.availableReplicas}{'\\n'}";
  const child = spawn(
    "kubectl",
    ["get", "deployments", "--namespace", namespace, "--watch", "--output", `jsonpath=${columns}`],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const seen = new Map<string, { fewest: number; wanted: number }>();
  const ended = once(child, "close");
  const first = Promise.withResolvers<void>();
  child.once("error", first.reject);
  createInterface(child.stdout).on("line", (line) => {
    const [name = "", wanted, available] = line.split(" ");
    const fewest = Math.min(Number(available), seen.get(name)?.fewest ?? Infinity);
    seen.set(name, { fewest, wanted: Number(wanted) });
    first.resolve();
  });
  try {
    await first.promise;
    await work();
  } finally {
    child.kill();
    await ended;
  }
  return seen;
}
