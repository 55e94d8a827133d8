/**
 * `npm run check`: types, lint, circles of imports, format, licences and known vulnerabilities, two at a time. It prints
 * what each of them says when that ends, and exits with 1 if one of them failed. The load tests' scripts are compiled
 * against k6's types, and against what their own runner offers.
 */
import { spawn } from "node:child_process";
import pLimit from "p-limit";

/** The longest first. */
const CHECKS = [
  "eslint .",
  "tsc -p .",
  "tsc -p web",
  "prettier --check --log-level warn .",
  "npm run -s imports",
  "tsc -p loadtest",
  "tsc -p loadtest/runner",
  "node scripts/audit.ts",
  "node scripts/licenses.ts",
];
const AT_ONCE = 2;

/** Runs one check, whose program npm has put on the PATH. @returns whether it found nothing */
async function passes(check: string): Promise<boolean> {
  const startedAt = performance.now();
  const child = spawn(check, { shell: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data: Buffer) => (output += data.toString()));
  const code = await new Promise<number | null>((ended) => {
    child.once("error", (error) => (output += error.message));
    child.once("close", ended);
  });
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  process.stdout.write(`${code === 0 ? "ok    " : "FAILED"} ${check} (${seconds} s)\n${output}`);
  return code === 0;
}

const limit = pLimit(AT_ONCE);
const results = await Promise.all(CHECKS.map((check) => limit(() => passes(check))));
process.exitCode = results.every(Boolean) ? 0 : 1;
