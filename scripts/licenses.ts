/**
 * `npm run licenses`: every package of the lockfile, for production or development, on this platform or another, has a
 * licence that asks for no more than attribution. A person looks at any other licence and writes the result down here.
 */
import { readFile } from "node:fs/promises";

/** SPDX ids. */
const PERMISSIVE: ReadonlySet<string> = new Set([
  "MIT",
  "MIT-0",
  "ISC",
  "0BSD",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "Unlicense",
  "Python-2.0",
  "PostgreSQL",
  "Zlib",
]);

/** Packages that a person looked at: the licence that each states, and why it is acceptable. */
const JUSTIFIED: Record<string, { license: string; because: string }> = {
  "caniuse-lite": {
    license: "CC-BY-4.0",
    because: "data on browsers that jest brings by way of babel; a tool's, and no part of production",
  },
  decko: { license: "none stated", because: "MIT, as its LICENSE says; ReDoc's" },
  stickyfill: { license: "none stated", because: "MIT, as its LICENSE says; ReDoc's" },
  "url-template": { license: "BSD", because: "BSD-3-Clause, as its LICENSE says; ReDoc's" },
  "@seald-io/binary-search-tree": {
    license: "none stated",
    because: 'its package.json spells the field "licence": MIT, as its LICENSE.md says',
  },
};

/** The fields of a package.json that state a licence, including the forms that npm gave up in 2014. */
export interface Manifest {
  license?: string | { type?: string };
  licenses?: { type?: string }[];
}

/** The licence that a package states, as an SPDX expression. */
export function statedLicense({ license, licenses }: Manifest): string {
  if (typeof license === "string" && license !== "") return license;
  const types = [license ?? licenses ?? []].flat().map((entry) => (entry as { type?: string }).type ?? "");
  return types.join(" OR ") || "none stated";
}

/** Whether an SPDX expression allows a permissive choice. Operators that it can't read (WITH, +) are not permissive. */
export function isPermissive(expression: string): boolean {
  const inner = /\(([^()]*)\)/.exec(expression);
  if (inner !== null)
    return isPermissive(expression.replace(inner[0], isPermissive(inner[1] as string) ? "MIT" : "no"));
  return expression
    .split(" OR ")
    .some((choice) => choice.split(" AND ").every((id) => PERMISSIVE.has(id.trim())));
}

/** A line for each unacceptable package, which says what to do. Keys are paths, as in a lockfile. */
export function licenseProblems(packages: Map<string, Manifest>, justified = JUSTIFIED): string[] {
  const used = new Set<string>();
  const problems: string[] = [];
  for (const [path, manifest] of packages) {
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    const license = statedLicense(manifest);
    if (isPermissive(license)) continue;
    used.add(name);
    if (justified[name]?.license !== license)
      problems.push(`${path}: ${license}. Do without it, or justify it in scripts/licenses.ts`);
  }
  for (const name of Object.keys(justified))
    if (!used.has(name)) problems.push(`${name}: needs no justification any more. Remove it`);
  return problems;
}

/** Installed packages state their licence; the lockfile states that of packages for other platforms. */
async function readPackages(): Promise<Map<string, Manifest>> {
  const read = async (path: string): Promise<unknown> =>
    JSON.parse(await readFile(new URL(`../${path}`, import.meta.url), "utf8"));
  const lock = (await read("package-lock.json")) as { packages: Record<string, Manifest> };
  const paths = Object.keys(lock.packages).filter((path) => path !== "");
  const manifests = await Promise.all(
    paths.map(async (path): Promise<[string, Manifest]> => {
      const installed = await read(`${path}/package.json`).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
      return [path, (installed ?? lock.packages[path]) as Manifest];
    }),
  );
  return new Map(manifests);
}

if (import.meta.main) {
  const packages = await readPackages();
  const problems = licenseProblems(packages);
  for (const problem of problems) console.error(problem);
  const looked = Object.keys(JUSTIFIED).join(", ");
  if (problems.length === 0)
    console.log(`licences of ${packages.size} packages are fine (justified: ${looked})`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
