/**
 * What kustomize makes of k8s/. The results are files of the repository, in k8s/rendered: reviews show what a change does to
 * a cluster, and tests read them without kubectl.
 */
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../containers/commands.ts";

/** The folders that are applied, and their files in k8s/rendered. */
export const RENDERED = {
  dev: "k8s/overlays/dev",
  prod: "k8s/overlays/prod",
  "prod-migrate": "k8s/overlays/prod/migrate",
} as const;
export type RenderedName = keyof typeof RENDERED;

const SOURCES = ["k8s/base", "k8s/migrate", "k8s/overlays"];

/** @returns the path of a rendered file */
export const renderedFile = (name: RenderedName): string => `k8s/rendered/${name}.yaml`;

/** The first line of each rendered file: of which sources it was made. Without kubectl it tells whether it is current. */
export async function headLine(): Promise<string> {
  const hash = createHash("sha256");
  for (const source of SOURCES) {
    const entries = await readdir(source, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const path of paths.sort()) hash.update(`${path}\n${await readFile(path, "utf8")}\n`);
  }
  return `# npm run k8s made this of k8s/base, k8s/migrate and k8s/overlays: ${hash.digest("hex").slice(0, 16)}`;
}

/** @returns the text that a rendered file must have. @throws Error kustomize's, when it can't read the sources */
export async function render(name: RenderedName): Promise<string> {
  return `${await headLine()}\n${await run("kubectl", ["kustomize", RENDERED[name]])}\n`;
}

/** Writes all rendered files. @returns their paths */
export async function writeRendered(): Promise<string[]> {
  const names = Object.keys(RENDERED) as RenderedName[];
  for (const name of names) await writeFile(renderedFile(name), await render(name));
  return names.map(renderedFile);
}

/** @throws Error naming the first rendered file that its sources make otherwise */
export async function mustBeRendered(): Promise<number> {
  const names = Object.keys(RENDERED) as RenderedName[];
  for (const name of names)
    if ((await readFile(renderedFile(name), "utf8")) !== (await render(name)))
      throw new Error(`${renderedFile(name)} is not what kustomize makes of ${RENDERED[name]}: npm run k8s`);
  return names.length;
}
