import { expect, test } from "@jest/globals";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { MUTANTS } from "../chaos/mutant-list.ts";

const path = (file: string): string => fileURLToPath(new URL(`../../${file}`, import.meta.url));

test("each mutant's place is in the product, once", async () => {
  const edits = Object.entries(MUTANTS).flatMap(([name, mutant]) =>
    mutant.edits.map((edit) => ({ name, ...edit })),
  );
  const found = await Promise.all(
    edits.map(async ({ name, file, from }) => ({
      name,
      from,
      times: (await readFile(path(file), "utf8")).split(from).length - 1,
    })),
  );
  expect(found.filter(({ times }) => times !== 1)).toEqual([]);
});
