import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Figures, Load } from "./load.ts";

/** A server under measurement. */
export interface Server {
  name: string;
  port: number;
}

/** What is asked of each server. */
export type Operation = { name: string } & Pick<Load, "method" | "paths" | "body" | "items">;

export interface Plan {
  token: string;
  connections: number;
  /** Milliseconds for each server and operation: once before all rounds, and in each of them. */
  warmUp: number;
  ms: number;
  rounds: number;
  onProgress: (line: string) => void;
}

export interface Cell extends Figures {
  /** Requests per second as a multiple of the last server's in the same round. */
  ratio: number;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2;
}

/**
 * Measures servers against the last of them, in turns, so that whatever else the machine does meets all alike: each round
 * asks each operation of each server, and another server begins in each.
 * @returns for each operation and server, in the order given, the medians of all rounds
 * @throws Error with the first answer that is none
 */
export async function measure(servers: Server[], operations: Operation[], plan: Plan): Promise<Cell[][]> {
  const worker = new Worker(new URL("./load.ts", import.meta.url));
  async function run({ port }: Server, operation: Operation, ms: number): Promise<Figures> {
    const { token, connections } = plan;
    const load: Load = { ...operation, port, token, connections, ms };
    worker.postMessage(load);
    const [answer] = (await once(worker, "message")) as [Figures | string];
    if (typeof answer === "string") throw new Error(answer);
    return answer;
  }

  const seen = operations.map(() => servers.map((): Figures[] => []));
  try {
    for (let round = 0; round <= plan.rounds; round++) {
      plan.onProgress(round === 0 ? "warming up" : `round ${round} of ${plan.rounds}`);
      for (const [row, operation] of operations.entries())
        for (let turn = 0; turn < servers.length; turn++) {
          const column = (round + turn) % servers.length;
          const server = servers[column] as Server;
          try {
            const figures = await run(server, operation, round === 0 ? plan.warmUp : plan.ms);
            if (round > 0) seen[row]?.[column]?.push(figures);
          } catch (error) {
            throw new Error(`${server.name}, ${operation.name}: ${(error as Error).message}`, {
              cause: error,
            });
          }
        }
    }
  } finally {
    await worker.terminate();
  }
  return seen.map((row) =>
    row.map((figures) => {
      const of = (key: keyof Figures): number => median(figures.map((one) => one[key]));
      const last = row.at(-1) as Figures[];
      const ratio = median(figures.map((one, round) => one.perSecond / (last[round]?.perSecond ?? NaN)));
      return { requests: of("requests"), perSecond: of("perSecond"), p50: of("p50"), p99: of("p99"), ratio };
    }),
  );
}
