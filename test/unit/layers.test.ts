import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { EVENT_TYPES } from "../../services/events.ts";
import { serviceSchemas } from "./fixtures.ts";

const root = new URL("../../", import.meta.url);

/** The code of each file below a folder, without its comments. */
function codeBelow(folder: string): [file: string, code: string][] {
  return readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => [
      `${folder}/${file}`,
      readFileSync(new URL(`${folder}/${file}`, root), "utf8").replace(/\/\*[^]*?\*\/|(^|\s)\/\/.*/g, ""),
    ]);
}

/** The names that the code of these folders has as whole words, each with its file. */
function namedIn(folders: string[], names: readonly string[]): string[] {
  const word = new RegExp(`(?<![\\w.])(?:${names.join("|").replaceAll(".", "\\.")})(?!\\w)`, "g");
  return folders
    .flatMap(codeBelow)
    .flatMap(([file, code]) => [...code.matchAll(word)].map(([name]) => `${file}: ${name}`));
}

const actions = (await serviceSchemas()).flatMap(({ name, actions }) =>
  Object.keys(actions ?? {}).map((action) => `${name}.${action}`),
);

test("a name is found where it stands, in code alone", () => {
  expect(namedIn(["services/tasks"], ["task_created"])).toContain(
    "services/tasks/tasks.contract.ts: task_created",
  );
  expect(namedIn(["services/api-gateway"], ["tasks.bulk"])).toContain(
    "services/api-gateway/routes.ts: tasks.bulk",
  );
  expect(namedIn(["core"], ["task_created"])).toEqual([]);
  expect(readFileSync(new URL("core/events.ts", root), "utf8")).toContain("task_created");
});

test("core, mixins and middlewares know no event and no action by name", () => {
  expect(namedIn(["core", "mixins", "middlewares"], [...EVENT_TYPES, ...actions])).toEqual([]);
});
