/** What the doctor says of each part: a line, and what to do. */
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../../core/config.ts";
import { explain } from "../../core/explain.ts";

/** `fail`: a node would not start, or would break a promise. `warn`: it works, and an operator may want it otherwise. */
export type Level = "ok" | "warn" | "fail";

export interface Finding {
  level: Level;
  part: string;
  /** What is so; where it is not well, also what to do. Never a secret. */
  text: string;
}

export interface Check {
  part: string;
  run: (config: Config) => Promise<Finding[]>;
}

/** Makes a check of a function that says what it found by `say`. @throws what it may throw becomes a `fail` */
export const check = (
  part: string,
  look: (config: Config, say: (level: Level, text: string) => void) => Promise<void>,
): Check => ({
  part,
  async run(config) {
    const findings: Finding[] = [];
    await look(config, (level, text) => findings.push({ level, part, text }));
    return findings;
  },
});

/** How long a connection may take, and a whole check. Milliseconds. */
export const CONNECT_MS = 2000;
const CHECK_MS = 4000;

/** Runs a check. One that fails, or does not end in time, is a finding itself. Never throws. */
export async function examine({ part, ...check }: Check, config: Config): Promise<Finding[]> {
  const late = new AbortController();
  const fail = (text: string): Finding[] => [{ level: "fail", part, text }];
  return Promise.race([
    check.run(config).catch((error: unknown) => fail(explain(error))),
    delay(CHECK_MS, undefined, { signal: late.signal }).then(
      () => fail(`did not answer within ${CHECK_MS / 1000} s: see whether it hangs, and what lies between`),
      () => [],
    ),
  ]).finally(() => late.abort());
}

/** What production may not have, and a laptop may. */
export const unlessProduction = ({ production }: Config): Level => (production ? "fail" : "warn");
