import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { documentConfig } from "../../core/config.ts";

test("the README's table of variables is the configuration's (else: npm run readme)", async () => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  expect(readme).toContain(documentConfig());
});
