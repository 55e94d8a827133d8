/** The gateway knows services, their actions and their events by the route table and by contracts alone. */
import { readdir, readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import { readActions } from "../../scripts/openapi.ts";
import { revoked } from "../../services/auth/auth.contract.ts";
import { EVENT_TYPES } from "../../services/events.ts";
import { sessionsEnded } from "../../services/users/users.contract.ts";

const folder = new URL("../../services/api-gateway/", import.meta.url);
const files = (await readdir(folder)).filter((name) => name.endsWith(".ts") && name !== "routes.ts");

/** String literals of a file, without its imports and comments. */
async function literalsOf(file: string): Promise<string[]> {
  const source = await readFile(new URL(file, folder), "utf8");
  const code = source
    .replace(/^(?:import|export)\b[^;]*?\bfrom "[^"]+";$/gm, "")
    .replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  return [...code.matchAll(/"([^"\n]*)"|'([^'\n]*)'|`([^`]*)`/g)].map(
    ([, double, single, template]) => double ?? single ?? template ?? "",
  );
}

/** `auth` is also the name of a budget, which clients read in `RateLimit-Policy`. */
const services = [...new Set(ROUTES.map(({ action }) => action.split(".")[0] as string))].filter(
  (name) => name !== "auth",
);
const actions = [...(await readActions()).keys()];
const events = [...EVENT_TYPES, revoked.name, sessionsEnded.name];

test.each(files)("%s names no service, no action and no event", async (file) => {
  const literals = await literalsOf(file);
  const own = actions.map((action) => action.split(".")[1] as string).filter((name) => name.includes("_"));
  const names = new Set([...services, ...actions, ...own, ...events]);
  expect(literals.filter((literal) => names.has(literal))).toEqual([]);
  // Neither does a part of a text, such as `startsWith("auth.")`.
  const prefix = new RegExp(`^(?:${["auth", ...services].join("|")})\\.`);
  expect(literals.filter((literal) => prefix.test(literal))).toEqual([]);
});

test("there are files to look at, and the table does name actions", async () => {
  expect(files.length).toBeGreaterThan(15);
  const literals = await literalsOf("routes.ts");
  for (const { action } of ROUTES) expect(literals).toContain(action);
});
