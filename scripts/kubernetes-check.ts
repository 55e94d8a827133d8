/**
 * `npm run k8s:check [-- DIR]`: applies k8s/ to a real API server, controller manager and scheduler, whose machines only
 * pretend to run pods (kwok): no image is pulled, no probe is asked, no NetworkPolicy is enforced. A line for each step.
 * DIR is where k8s/control-plane/build.sh built them. `--write` writes k8s/schemas.json anew.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parseAllDocuments } from "yaml";
import { explain } from "../core/explain.ts";
import { until } from "../local/until.ts";
import { mustHave, run, step } from "./containers/commands.ts";
import { apply, kubectl, mustRefuse, rolledOut } from "./kubernetes/kubectl.ts";
import { mustBeRendered, RENDERED, renderedFile } from "./kubernetes/render.ts";
import { readSchemas, SCHEMAS_FILE } from "./kubernetes/schemas.ts";
import { autoscaled, drain, mustBeSpread, mustKeepBudget, rollOut } from "./kubernetes/steps.ts";

const EXAMPLES = ["cloudnative-pg", "external-secrets", "vault"].map((name) => `k8s/examples/${name}.yaml`);
const count = (lines: string[]): string => `${lines.length} objects`;

/** The kinds of all objects that k8s/ has, as `apps/v1/Deployment`. */
async function kindsInUse(): Promise<string[]> {
  const files = [renderedFile("dev"), renderedFile("prod"), renderedFile("prod-migrate"), ...EXAMPLES];
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
  return texts.flatMap((text) =>
    parseAllDocuments(text).map((document) => {
      const { apiVersion, kind } = document.toJS() as { apiVersion: string; kind: string };
      return `${apiVersion}/${kind}`;
    }),
  );
}

async function schemas(write: boolean): Promise<string> {
  const read = await readSchemas(await kindsInUse());
  const text = `${JSON.stringify(read)}\n`;
  if (write) await writeFile(SCHEMAS_FILE, text);
  else if ((await readFile(SCHEMAS_FILE, "utf8")) !== text)
    throw new Error(`${SCHEMAS_FILE} is not what the API server publishes: npm run k8s:check -- --write`);
  return `${SCHEMAS_FILE} has ${Object.keys(read.kinds).length} kinds, as the API server publishes them`;
}

/** A kind without a status is not there yet, which `kubectl wait` takes for an error. */
async function established(): Promise<void> {
  const wait = (): Promise<boolean> =>
    kubectl(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).then(
      () => true,
      () => false,
    );
  if (!(await until(wait, 60_000))) throw new Error("the kinds of the operators are not there after 60 s");
}

/** Applies a file that is refused, made of an object that is taken. @returns the API server's reason */
async function refused(folder: string, object: object, why: RegExp): Promise<string> {
  const file = join(folder, "refused.json");
  await writeFile(file, JSON.stringify(object));
  return mustRefuse(["apply", "--server-side", "--validate=strict", "--filename", file], why);
}

const pod = (more: object): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "refused", namespace: "taskwire-dev" },
  spec: { containers: [{ name: "any", image: "any", ...more }] },
});

async function dev(folder: string): Promise<void> {
  const namespace = "taskwire-dev";
  // No machine here makes volumes.
  const volume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "any" },
    spec: { capacity: { storage: "2Gi" }, accessModes: ["ReadWriteOnce"], hostPath: { path: "/nowhere" } },
  };
  await writeFile(join(folder, "volume.json"), JSON.stringify(volume));
  await apply("--filename", join(folder, "volume.json"));
  await step("dev", () => apply("--kustomize", RENDERED.dev), count);
  await step(
    "refused",
    () => refused(folder, pod({ imagePolicy: "Never" }), /[^\n ]*imagePolicy: field not declared in schema/),
    String,
  );
  await step("refused", () => refused(folder, pod({}), /violates PodSecurity "restricted:latest"/), String);
  await kubectl([
    "wait",
    "--namespace",
    namespace,
    "--for=condition=complete",
    "--timeout=90s",
    "job/migrate",
  ]);
  await step(
    "dev",
    () => rolledOut(namespace),
    (pods) => `the migration ended, and ${pods} pods are ready`,
  );
}

async function prod(folder: string): Promise<void> {
  const namespace = "taskwire";
  await apply("--filename", "k8s/overlays/prod/namespace.yaml");
  await step("examples", () => apply(...EXAMPLES.flatMap((file) => ["--filename", file])), count);
  await step("migrate", () => apply("--kustomize", RENDERED["prod-migrate"]), count);
  await kubectl([
    "wait",
    "--namespace",
    namespace,
    "--for=condition=complete",
    "--timeout=90s",
    "job/migrate",
  ]);
  await step("prod", () => apply("--kustomize", RENDERED.prod), count);
  await step("autoscale", autoscaled, String);
  await step(
    "prod",
    () => rolledOut(namespace),
    (pods) => `${pods} pods are ready`,
  );
  await step(
    "spread",
    () => mustBeSpread(3),
    (machines) => `machines of each service: ${machines}`,
  );
  await step("rollout", () => rollOut(folder), String);
  await step("eviction", () => mustKeepBudget(folder), String);
  await step("drain", () => drain("node-b-1"), String);
  await step(
    "spread",
    () => mustBeSpread(2),
    (machines) => `machines of each service: ${machines}`,
  );
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { write: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const dir = positionals[0] ?? join(homedir(), ".cache/taskwire/control-plane");
  mustHave("bash", "etcd", "kubectl", "openssl");
  if (!existsSync(join(dir, "bin/kwok")))
    throw new Error(`There is no control plane in ${dir}. Build one: k8s/control-plane/build.sh ${dir}`);
  const folder = await mkdtemp(join(tmpdir(), "taskwire-kubernetes-"));
  const up = (...more: string[]): Promise<string> =>
    run("bash", ["k8s/control-plane/up.sh", dir, folder, ...more], { seconds: 240 });
  // Its programs are in process groups of their own, which no Ctrl-C reaches.
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      spawnSync("bash", ["k8s/control-plane/up.sh", dir, folder, "down"]);
      process.exit(1);
    });
  await step(
    "rendered",
    mustBeRendered,
    (files) => `k8s/rendered has ${files} files, as kustomize makes them`,
  );
  try {
    await step("up", up, (line) => {
      process.env.KUBECONFIG = line.slice(line.lastIndexOf("=") + 1);
      return "etcd, API server, controller manager, scheduler, three fake machines";
    });
    await step("kinds", () => apply("--filename", join(dir, "crds")), count);
    await established();
    await step("schemas", () => schemas(values.write), String);
    await dev(folder);
    await prod(folder);
    console.log("k8s/ is sound.");
  } finally {
    await up("down");
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
