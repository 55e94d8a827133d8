/**
 * `npm run verify [DATABASE_URL]`: whether the rows of a live database are what its log of events says. It reads in small
 * steps, by one connection that can't write. Exit code: 0 sound, 1 faults found, 2 could not run.
 */
import { loadConfig } from "../core/config.ts";
import { explain } from "../core/explain.ts";
import { printable } from "../core/text.ts";
import { databaseAnswers, describeDatabase, mustBeMigrated } from "../migrations/ready.ts";
import { ADVICE, type OnProgress, type Report } from "./verify/audit.ts";
import { verify } from "./verify/verify.ts";

const say = (line: string): void => console.log(line);
const grouped = (count: number): string => count.toLocaleString("en");

/** Milliseconds between two lines of progress: on a terminal one line is rewritten, else each one is logged. */
const [REWRITE_MS, LOG_MS] = [100, 5000];

function progress(): { on: OnProgress; clear: () => void } {
  const { isTTY = false } = process.stdout;
  let last = isTTY ? 0 : performance.now();
  return {
    on: (check, examined, expected) => {
      const now = performance.now();
      if (now - last < (isTTY ? REWRITE_MS : LOG_MS)) return;
      last = now;
      const line = `${check}: ${grouped(examined)}${expected === null ? "" : ` of about ${grouped(expected)}`}`;
      if (isTTY) process.stdout.write(`\r\u001b[K${line}`);
      else say(line);
    },
    clear: () => void (isTTY && process.stdout.write("\r\u001b[K")),
  };
}

function print({ checks, findings }: Report): void {
  for (const { kind, count, named } of findings) {
    say(`${kind} (${grouped(count)})`);
    for (const text of named) say(`  ${printable(text)}`);
    if (count > named.length) say(`  … and ${grouped(count - named.length)} more`);
    say(`  → ${ADVICE[kind]}\n`);
  }
  const row = (...[name, examined, faults, seconds]: [string, string, string, string]): void =>
    say(`${name.padEnd(12)}${examined.padStart(12)}${faults.padStart(10)}${seconds.padStart(10)}`);
  row("check", "examined", "faults", "seconds");
  for (const { name, examined, faults, ms } of checks)
    row(name, grouped(examined), grouped(faults), (ms / 1000).toFixed(1));
  const faults = checks.reduce((sum, check) => sum + check.faults, 0);
  say(faults === 0 ? "\nSound." : `\n${grouped(faults)} fault${faults === 1 ? "" : "s"}.`);
}

async function main(): Promise<void> {
  const [argument] = process.argv.slice(2);
  // In production the program wants secrets that this script has no use for.
  const url = argument ?? loadConfig({ ...process.env, NODE_ENV: "development" }).DATABASE_URL;
  if (url === "")
    throw new Error("Set DATABASE_URL to the database to verify, or name it: npm run verify <DATABASE_URL>");
  await databaseAnswers(url, { say });
  await mustBeMigrated(url);
  say(`Verifying ${describeDatabase(url)}`);
  const line = progress();
  const report = await verify(url, line.on).finally(() => line.clear());
  print(report);
  if (report.findings.length > 0) process.exitCode = 1;
}

await main().catch((error: unknown) => {
  console.error(explain(error));
  process.exitCode = 2;
});
