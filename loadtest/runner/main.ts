/**
 * `node loadtest/runner/main.ts SCRIPT`: runs a k6 script without k6, as far as the scripts of loadtest/ need. It exits
 * with 0, with 99 when a threshold failed (as k6 does), and with 1 when the test could not run.
 */
import { resolve } from "node:path";
import process from "node:process";
import { loadScript } from "./load-script.ts";
import { runTest } from "./run.ts";

const THRESHOLD_FAILED = 99;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());
process.once("SIGTERM", () => stopping.abort());

const [script] = process.argv.slice(2);
if (script === undefined) {
  process.stderr.write("loadtest/runner: name a script\n");
  process.exit(1);
}
Object.assign(globalThis, { __ENV: { ...process.env } });
const path = resolve(script);
try {
  say(`runner: Taskwire's own, on Node ${process.version} (not k6)`);
  const { verdicts, summary } = await runTest({
    load: (context) => loadScript(path, context),
    say,
    signal: stopping.signal,
  });
  say(summary);
  process.exit(verdicts.every(({ passed }) => passed) ? 0 : THRESHOLD_FAILED);
} catch (error) {
  process.stderr.write(
    `loadtest/runner: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(1);
}
