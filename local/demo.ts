/** `npm start -- --demo`: fills the running system with the demo of `npm run seed`. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Part } from "./program.ts";

const SEED = fileURLToPath(new URL("../scripts/seed.ts", import.meta.url));
/** Enough for five boards that look used, and made in seconds. */
const TASKS = 150;

/**
 * Fills the demo in, by the program of `npm run seed`: its work and its faults are no matter of the server's process.
 * @param origin where the system answers
 * @returns the part to stop with the program
 */
export function startDemo(origin: string, say: (line: string) => void): Part {
  say("  Filling in the demo …");
  const child = spawn(process.execPath, [SEED, origin, String(TASKS)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  createInterface({ input: child.stderr }).on("line", (line) => say(`  The demo: ${line}`));
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      say(`  The demo: ${error.message}`);
      resolve();
    });
    child.once("close", (code) => {
      if (code === 0) say(`  The demo is ready: open ${origin}/app#/demo\n`);
      resolve();
    });
  });
  return {
    name: "the demo",
    stop() {
      child.kill();
      return ended;
    },
  };
}
