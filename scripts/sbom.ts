/**
 * `npm run sbom`: writes `sbom.cdx.json`, the bill of materials of the image: its packages, and Node (CycloneDX). Those
 * of the base image are its maker's to list.
 *
 * `npm sbom --omit dev` leaves out each package that a development tool needs too, pino and ws among them. So npm lists
 * all packages here, and the lockfile says which of them production has.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

const FILE = "sbom.cdx.json";

interface Component {
  "bom-ref": string;
  type: string;
  name: string;
  version: string;
  purl?: string;
}
/** The parts of a CycloneDX document that are changed here. */
export interface Bill {
  metadata: { component: Component };
  components: Component[];
  dependencies: { ref: string; dependsOn: string[] }[];
}
export interface Lock {
  name: string;
  packages: Record<string, { version?: string; dev?: boolean; optional?: boolean; devOptional?: boolean }>;
}

/** `name@version` of the packages that `npm ci --omit=dev --omit=optional` installs. */
function productionPackages({ packages }: Lock): Set<string> {
  const needed = Object.entries(packages).filter(
    ([path, { dev, optional, devOptional }]) => path !== "" && !dev && !optional && !devOptional,
  );
  return new Set(needed.map(([path, { version }]) => `${path.replace(/^.*node_modules\//, "")}@${version}`));
}

/**
 * The bill of the image.
 * @param all npm's bill of all packages of the lockfile
 * @param nodeVersion of the Node that runs them
 */
export function imageBill(all: Bill, lock: Lock, nodeVersion: string): Bill {
  const kept = productionPackages(lock);
  const ref = all.metadata.component["bom-ref"];
  const runtime = {
    "bom-ref": `node@${nodeVersion}`,
    type: "platform",
    name: "node",
    version: nodeVersion,
    purl: `pkg:generic/node@${nodeVersion}`,
  };
  return {
    ...all,
    // npm names it after the folder.
    metadata: { ...all.metadata, component: { ...all.metadata.component, name: lock.name } },
    components: [...all.components.filter((component) => kept.has(component["bom-ref"])), runtime],
    dependencies: all.dependencies
      .filter((entry) => entry.ref === ref || kept.has(entry.ref))
      .map((entry) => ({ ...entry, dependsOn: entry.dependsOn.filter((name) => kept.has(name)) })),
  };
}

async function main(): Promise<void> {
  const read = (file: string): Promise<string> => readFile(file, "utf8");
  const [, nodeVersion] = /^FROM node:([\d.]+)/m.exec(await read("Dockerfile")) ?? [];
  if (nodeVersion === undefined) throw new Error("the Dockerfile has no FROM node:<version>");
  const { stdout } = await promisify(execFile)(
    "npm",
    ["sbom", "--sbom-format=cyclonedx", "--sbom-type=application", "--package-lock-only"],
    { maxBuffer: 64 * 1024 * 1024 },
  );
  const lock = JSON.parse(await read("package-lock.json")) as Lock;
  const bill = imageBill(JSON.parse(stdout) as Bill, lock, nodeVersion);
  await writeFile(FILE, `${JSON.stringify(bill, null, 2)}\n`);
  console.log(`${FILE}: ${bill.components.length} components`);
}

if (import.meta.main) await main();
