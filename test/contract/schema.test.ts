import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { dumpSchema } from "../../migrations/dump.ts";
import { freshDatabase } from "../support/database.ts";

test("migrations/schema.sql is what the migrations make (else: npm run schema)", async () => {
  const file = await readFile(new URL("../../migrations/schema.sql", import.meta.url), "utf8");
  expect(await dumpSchema(await freshDatabase())).toBe(file);
});
