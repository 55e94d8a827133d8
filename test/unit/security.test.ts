import { access, readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";

const root = new URL("../../", import.meta.url);
const page = await readFile(new URL("docs/security.md", root), "utf8");
const spans = [...page.matchAll(/`([^`\n]+)`/g)].map(([, span]) => span as string);

describe("docs/security.md names", () => {
  test("tests that are there", async () => {
    const cited = spans.map((span) => /^(\w+\/[\w-]+) › (.+)$/.exec(span)).filter((match) => match !== null);
    expect(cited.length).toBeGreaterThan(50);
    const missing: string[] = [];
    for (const [span, file, name] of cited) {
      const source = await readFile(new URL(`test/${file}.test.ts`, root), "utf8").catch(() => "");
      if (![`"${name}"`, `\`${name}\``].some((literal) => source.includes(literal))) missing.push(span);
    }
    // A test was renamed or moved: say so on the page, or on the page that it is gone.
    expect(missing.filter((span) => span !== "contract/auth › a name")).toEqual([]);
  });

  test("files that are there", async () => {
    const files = spans.filter((span) =>
      /^(core|docs|middlewares|mixins|scripts|services|test)\/[\w./-]+\.ts$/.test(span),
    );
    expect(files.length).toBeGreaterThan(20);
    for (const file of new Set(files)) await expect(access(new URL(file, root))).resolves.toBeUndefined();
  });
});
