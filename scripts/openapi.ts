/** `npm run openapi`: writes docs/openapi.json, the types of a client by it into client/src/api.ts, and docs/asyncapi.json. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { ServiceSchema } from "moleculer";
import openapiTS, { astToString, type OpenAPI3 } from "openapi-typescript";
import { loadConfig, SERVICES } from "../core/config.ts";
import { docsOf } from "../core/kit.ts";
import { asyncApi } from "../services/api-gateway/asyncapi.ts";
import type { DocumentedAction } from "../services/api-gateway/openapi-operations.ts";
import { openApi } from "../services/api-gateway/openapi.ts";
import { ROUTES } from "../services/api-gateway/routes.ts";

export const DOCUMENT = new URL("../docs/openapi.json", import.meta.url);
export const EVENTS_DOCUMENT = new URL("../docs/asyncapi.json", import.meta.url);
export const CLIENT = new URL("../client/src/api.ts", import.meta.url);
const GUIDE = new URL("../docs/rest.md", import.meta.url);

/** All actions of all services, by their full names. */
export async function readActions(): Promise<Map<string, DocumentedAction>> {
  const config = loadConfig({ NODE_ENV: "test", DATABASE_URL: "postgres://127.0.0.1/none" });
  const actions = new Map<string, DocumentedAction>();
  for (const name of SERVICES) {
    const { default: factory } = (await import(`../services/${name}/${name}.service.ts`)) as {
      default: (of: typeof config) => ServiceSchema;
    };
    const schema = factory(config);
    for (const [action, docs] of Object.entries(docsOf(schema)))
      actions.set(`${name}.${action}`, {
        ...(schema.actions?.[action] as Omit<DocumentedAction, "docs">),
        docs,
      });
  }
  return actions;
}

/** The content of the files. */
export async function generate(): Promise<{ document: string; client: string; events: string }> {
  const document = openApi({
    routes: ROUTES,
    actions: await readActions(),
    guide: await readFile(GUIDE, "utf8"),
  });
  const types = astToString(await openapiTS(document as unknown as OpenAPI3));
  return {
    document: `${JSON.stringify(document, null, 2)}\n`,
    client: `/** Written by \`npm run openapi\`. */\n${types}`,
    events: `${JSON.stringify(asyncApi(), null, 2)}\n`,
  };
}

if (import.meta.main) {
  const { document, client, events } = await generate();
  await mkdir(new URL(".", CLIENT), { recursive: true });
  await writeFile(DOCUMENT, document);
  await writeFile(CLIENT, client);
  await writeFile(EVENTS_DOCUMENT, events);
  console.log("docs/openapi.json, docs/asyncapi.json and client/src/api.ts written");
}
