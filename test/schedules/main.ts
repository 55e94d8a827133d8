/**
 * `npm run schedules -- [--seed N] [--runs M]`: plays M programs, each under a schedule of its own, and shows the smallest
 * one that goes wrong. `--first` stops at the first one instead.
 */
import { parseArgs } from "node:util";
import fc from "fast-check";
import { nothingIsWrong } from "./play.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: "100000" },
    first: { type: "boolean", default: false },
  },
});
const started = performance.now();
const result = await fc.check(nothingIsWrong, {
  seed: Number(values.seed),
  numRuns: Number(values.runs),
  endOnFailure: values.first,
});
const seconds = ((performance.now() - started) / 1000).toFixed(1);
const { failed, numRuns } = result;
process.stdout.write(
  failed
    ? `wrong in schedule ${numRuns} of seed ${values.seed} (${seconds} s)\n${fc.defaultReportMessage(result)}\n${String(result.errorInstance)}\n`
    : `nothing wrong in ${numRuns} schedules of seed ${values.seed} (${seconds} s)\n`,
);
process.exitCode = failed ? 1 : 0;
