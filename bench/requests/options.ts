/** The command line of `npm run bench`. */
import { parseArgs } from "node:util";

/** What is asked of each server (operations.ts). */
export const OPERATIONS = [
  "list-cached",
  "list-uncached",
  "filtered",
  "searched",
  "get-cached",
  "get-uncached",
  "create",
  "patch",
  "transition",
  "bulk",
  "login",
] as const;
export type OperationName = (typeof OPERATIONS)[number];

/** Who is asked (servers.ts). */
export const SERVERS = ["cluster", "single", "skeleton", "bare", "fastapi"] as const;
export type ServerName = (typeof SERVERS)[number];

/** What a further cluster does without, to see what it costs. */
export const PARTS = ["log", "limits", "redis"] as const;
export type Part = (typeof PARTS)[number];

export interface Options {
  operations: OperationName[];
  /** Null: all that this machine can run. */
  servers: ServerName[] | null;
  without: Part[];
  /** Seconds for each operation and server in a round. */
  seconds: number;
  rounds: number;
  connections: number;
  /** Files of figures: to be written, and to be compared with. */
  json: string | null;
  compare: string | null;
  /** Operations whose CPU time is broken down. */
  profile: OperationName[];
}

export class UsageError extends Error {}

export const USAGE = `npm run bench [-- options]

  --only a,b         operations: ${OPERATIONS.join(", ")};
                     a beginning names all that begin so (list, get)
  --against a,b      servers: ${SERVERS.join(", ")}; by default all
  --without a,b      one cluster more for each part left out: ${PARTS.join(", ")}
  --seconds N        for each operation and server in a round (0.8)
  --rounds N         rounds whose median counts (3)
  --connections N    requests under way (16; logins and bulks 4)
  --json FILE        writes the figures
  --compare FILE     prints before → after against figures that were written
  --profile a,b      where the CPU time of these operations goes, by module and function;
                     writes .cpuprofile files to .data/bench
`;

/** The members of `known` that a comma list names. @throws UsageError */
function listOf<Name extends string>(option: string, text: string, known: readonly Name[]): Name[] {
  const found = text.split(",").map((name) => {
    const matching = known.filter((one) => one === name || one.startsWith(`${name}-`));
    if (matching.length === 0)
      throw new UsageError(`--${option}: "${name}" is not one of ${known.join(", ")}`);
    return matching;
  });
  const named = new Set(found.flat());
  return known.filter((one) => named.has(one));
}

/** @throws UsageError */
function numberOf(option: string, text: string, least: number): number {
  const value = Number(text);
  if (!(value >= least)) throw new UsageError(`--${option}: "${text}" is not a number from ${least} on`);
  return value;
}

/** @throws UsageError one line that says what is wrong */
export function parseOptions(args: string[]): Options | "help" {
  const text = { type: "string" } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        only: text,
        against: text,
        without: text,
        seconds: text,
        rounds: text,
        connections: text,
        json: text,
        compare: text,
        profile: text,
        help: { type: "boolean", short: "h" },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help === true) return "help";
  const { only, against, without, profile } = values;
  const profiled = profile === undefined ? [] : listOf("profile", profile, OPERATIONS);
  const chosen = only === undefined ? [] : listOf("only", only, OPERATIONS);
  const operations = OPERATIONS.filter((name) => chosen.includes(name) || profiled.includes(name));
  return {
    operations: operations.length === 0 ? [...OPERATIONS] : operations,
    servers: against === undefined ? null : listOf("against", against, SERVERS),
    without: without === undefined ? [] : listOf("without", without, PARTS),
    seconds: numberOf("seconds", values.seconds ?? "0.8", 0.1),
    rounds: Math.round(numberOf("rounds", values.rounds ?? "3", 1)),
    connections: Math.round(numberOf("connections", values.connections ?? "16", 1)),
    json: values.json ?? null,
    compare: values.compare ?? null,
    profile: profiled,
  };
}
