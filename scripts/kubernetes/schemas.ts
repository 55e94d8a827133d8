/** k8s/schemas.json: the JSON schemas of the kinds that k8s/ uses, as the API server of `npm run k8s:check` publishes them. */
import { kubectl } from "./kubectl.ts";

export const SCHEMAS_FILE = "k8s/schemas.json";

/** Definitions by name, and for each `apiVersion/kind` its definition's name. */
export interface Schemas {
  kinds: Record<string, string>;
  definitions: Record<string, object>;
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type JsonObject = { [name: string]: Json };

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const REF = "#/components/schemas/";

/**
 * What decides validity, and no more. An object takes the properties that it names and no other, as the API server holds it
 * under `--validate=strict`.
 */
function strict(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(strict);
  if (!isObject(schema)) return schema;
  if (schema["x-kubernetes-int-or-string"] === true || schema.format === "int-or-string")
    return { type: ["integer", "string"] };
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === "$ref") result.$ref = `#/definitions/${(value as string).slice(REF.length)}`;
    else if (key === "properties" && isObject(value))
      result.properties = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, strict(one)]));
    else if (key === "enum" || key === "required") result[key] = value;
    else if (!["description", "default", "format", "example"].includes(key) && !key.startsWith("x-"))
      result[key] = strict(value);
  }
  const isOpen = schema["x-kubernetes-preserve-unknown-fields"] === true || "additionalProperties" in schema;
  if ("properties" in schema && !isOpen) result.additionalProperties = false;
  return result;
}

const refsIn = (schema: Json): string[] =>
  [...JSON.stringify(schema).matchAll(/"#\/definitions\/([^"]+)"/g)].map(([, name]) => name as string);

/** @param kinds as `apps/v1/Deployment` @throws Error for a kind that the API server doesn't know */
export async function readSchemas(kinds: readonly string[]): Promise<Schemas> {
  const result: Schemas = { kinds: {}, definitions: {} };
  for (const kind of [...new Set(kinds)].sort()) {
    const [apiVersion = "", name = ""] = [kind.slice(0, kind.lastIndexOf("/")), kind.split("/").at(-1)];
    const path = `/openapi/v3/${apiVersion === "v1" ? "api" : "apis"}/${apiVersion}`;
    const { components } = JSON.parse(await kubectl(["get", "--raw", path])) as {
      components: { schemas: Record<string, JsonObject> };
    };
    const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
    const isIt = (schema: JsonObject): boolean =>
      ((schema["x-kubernetes-group-version-kind"] ?? []) as JsonObject[]).some(
        (gvk) => gvk.group === group && gvk.version === version && gvk.kind === name,
      );
    const root = Object.keys(components.schemas).find((key) => isIt(components.schemas[key] as JsonObject));
    if (root === undefined) throw new Error(`the API server has no schema of ${kind}`);
    result.kinds[kind] = root;
    const wanted = [root];
    for (const key of wanted) {
      const definition = strict(components.schemas[key] as JsonObject) as object;
      result.definitions[key] = definition;
      wanted.push(...refsIn(definition as Json).filter((ref) => !wanted.includes(ref)));
    }
  }
  const sorted = Object.entries(result.definitions).sort(([one], [other]) => (one < other ? -1 : 1));
  return { ...result, definitions: Object.fromEntries(sorted) };
}
