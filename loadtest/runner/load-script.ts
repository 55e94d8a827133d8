/**
 * Loads a script once for each virtual user, as k6 does: each has module state of its own. The URL of the script carries
 * the user's id (`mixed.js?vu=7`), its relative imports inherit it, and `k6/http` becomes a module made for that user.
 */
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import { type Modules, modulesOf } from "./modules.ts";
import type { Context, Script } from "./virtual-user.ts";

const made = new Map<string, Modules>();
const SCHEME = "k6:";

/** Where the source of a made module finds its object. */
const REGISTRY = "__k6Module";
Object.assign(globalThis, {
  [REGISTRY]: (vu: string, name: keyof Modules) => made.get(vu)?.[name],
});

const userOf = (url: string | undefined): string | null =>
  url === undefined || !URL.canParse(url) ? null : new URL(url).searchParams.get("vu");

function sourceOf(url: string): string {
  const vu = userOf(url) as string;
  const name = url.slice(SCHEME.length, url.indexOf("?"));
  const module = made.get(vu)?.[name as keyof Modules];
  if (module === undefined) throw new Error(`the Node runner has no module ${name}: run the script with k6`);
  return [
    `const made = globalThis.${REGISTRY}(${JSON.stringify(vu)}, ${JSON.stringify(name)});`,
    `export const { ${Object.keys(module).join(", ")} } = made;`,
    "export default made;",
  ].join("\n");
}

registerHooks({
  resolve(specifier, context, next) {
    const vu = userOf(context.parentURL);
    if (vu === null) return next(specifier, context);
    if (specifier === "k6" || specifier.startsWith("k6/"))
      return { url: `${SCHEME}${specifier}?vu=${vu}`, format: "module", shortCircuit: true };
    const resolved = next(specifier, context);
    return { ...resolved, url: `${resolved.url}?vu=${vu}` };
  },
  load(url, context, next) {
    if (!url.startsWith(SCHEME)) return next(url, context);
    return { format: "module", source: sourceOf(url), shortCircuit: true };
  },
});

/**
 * @param path an absolute path
 * @throws what the script throws; Error for a k6 module that the runner does not have
 */
export async function loadScript(path: string, context: Context): Promise<Script> {
  made.set(String(context.id), modulesOf(context));
  return (await import(`${pathToFileURL(path).href}?vu=${context.id}`)) as Script;
}
