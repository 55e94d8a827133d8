/** The image gets what its programs read: .dockerignore lists it, and `npm run image:check` builds it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { type Bill, imageBill, type Lock } from "../../scripts/sbom.ts";

const read = (path: string): string => readFileSync(path, "utf8");

describe("the image has", () => {
  const listed = read(".dockerignore")
    .split("\n")
    .filter((line) => line.startsWith("!"))
    .map((line) => line.slice(1));
  const isListed = (path: string): boolean =>
    listed.some((entry) => path === entry || path.startsWith(`${entry}/`));

  /** The files that a file imports or reads by a path of its own, in the repository's terms. */
  const neededBy = (path: string): string[] =>
    [...read(path).matchAll(/(?:from|import|import\(|new URL\()\s*["`](\.{0,2}\/?[\w./-]+\.\w+)["`]/g)]
      .filter(([statement, target]) => statement.includes("URL") || target?.startsWith("."))
      .map(([, target]) => normalize(join(dirname(path), target as string)));

  const programs = ["main.mjs", ...listed.filter((path) => /^scripts\/[\w-]+\.\w+$/.test(path))];
  const needed = new Set(programs);
  for (const path of needed) if (/\.m?[jt]s$/.test(path)) for (const more of neededBy(path)) needed.add(more);

  test("each file that its programs import or read", () => {
    expect(needed.size).toBeGreaterThan(150);
    expect([...needed].filter((path) => !isListed(path))).toEqual([]);
  });

  test("each page of docs that the gateway serves", () => {
    const pages = [...read("services/api-gateway/web-pages.ts").matchAll(/"([\w-]+\.(?:md|json))"/g)];
    const guide = [...read("services/api-gateway/guide-menu.ts").matchAll(/file: "([\w./-]+)"/g)];
    const names = [...pages.map(([, name]) => `docs/${name}`), ...guide.map(([, file]) => file as string)];
    expect(guide.length).toBeGreaterThan(10);
    expect(names).toContain("docs/openapi.json");
    expect(names.filter((path) => !isListed(path))).toEqual([]);
  });

  test("nothing that is not there", () => {
    expect(listed.filter((path) => !existsSync(path))).toEqual([]);
  });
});

test("the bill of the image lists what production installs, also what tools need too, and Node", () => {
  const component = (name: string) => ({ "bom-ref": name, type: "library", name, version: "1" });
  const all: Bill = {
    metadata: { component: component("taskwire@1") },
    components: ["shared@1", "tool@1", "shared@2"].map(component),
    dependencies: [
      { ref: "taskwire@1", dependsOn: ["shared@1", "tool@1"] },
      { ref: "tool@1", dependsOn: ["shared@1", "shared@2"] },
    ],
  };
  const lock: Lock = {
    name: "taskwire",
    packages: {
      "": { version: "1" },
      "node_modules/shared": { version: "1" },
      "node_modules/tool": { version: "1", dev: true },
      "node_modules/tool/node_modules/shared": { version: "2", dev: true },
    },
  };
  const { components, dependencies, metadata } = imageBill(all, lock, "24.1.2");
  expect(components.map((item) => item["bom-ref"])).toEqual(["shared@1", "node@24.1.2"]);
  expect(dependencies).toEqual([{ ref: "taskwire@1", dependsOn: ["shared@1"] }]);
  expect(metadata.component.name).toBe("taskwire");
});
