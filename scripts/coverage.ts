/** Holds the floor of coverage of all files together, in what Jest's run has just written: its thresholds are by path. */
import { readFile } from "node:fs/promises";

const FLOOR_PERCENT = 80;
const SUMMARY = new URL("../coverage/coverage-summary.json", import.meta.url);

const { total } = JSON.parse(await readFile(SUMMARY, "utf8")) as {
  total: Record<"statements" | "branches" | "functions" | "lines", { pct: number }>;
};
const kinds = ["statements", "branches", "functions", "lines"] as const;
const missed = kinds.filter((kind) => total[kind].pct < FLOOR_PERCENT);
console.log(`coverage of all files: ${kinds.map((kind) => `${total[kind].pct} % of ${kind}`).join(", ")}`);
if (missed.length > 0) {
  console.error(`${missed.join(", ")}: less than ${FLOOR_PERCENT} %. coverage/ has what no test ran.`);
  process.exitCode = 1;
}
