import { describe, test } from "@jest/globals";
import fc from "fast-check";
import { nothingIsWrong } from "../schedules/play.ts";

describe("whatever the order in which queries, answers and hints come", () => {
  test("each client gets each event that its user may read once, in order, and none is missing", async () => {
    // `npm run schedules -- --seed 7 --runs 100000` plays others, and more of them.
    await fc.assert(nothingIsWrong, { seed: 1, numRuns: 3000 });
  });
});
