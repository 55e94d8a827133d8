/** Measures operations of servers in rounds, with what each process spent on them. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { cpuBetween, type Processes, readCpu } from "../cpu.ts";
import type { Figures, Load } from "./load.ts";

/** A server under measurement. */
export interface Server {
  name: string;
  port: number;
  /** The folder where each of its processes writes `<process>.log`. */
  logs: string;
  /** The processes that work for it at this moment, those of Postgres too. */
  processes(): Promise<Processes>;
}

/** What is asked of each server. */
export type Operation = { name: string; connections?: number } & Pick<
  Load,
  "method" | "paths" | "bodies" | "items"
>;

export interface Plan {
  /** Of the users who ask. */
  tokens: string[];
  connections: number;
  /** Milliseconds for each server and operation: once before all rounds, and in each of them. */
  warmUp: number;
  ms: number;
  rounds: number;
  onProgress: (line: string) => void;
  /** Ends the measurement between two turns. */
  signal: AbortSignal;
}

export interface Cell extends Figures {
  /** Microseconds of CPU time that a request costs, by process. */
  cpu: Record<string, number>;
  /** Requests a second as a multiple of the server that the others are compared with, the median of the same rounds. */
  ratio: number | null;
}

/** A turn of one server at one operation. */
interface Turn extends Figures {
  cpu: Map<string, number>;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2;
}

/** Sends load to servers from a thread of its own. */
export class Loader {
  readonly #worker = new Worker(new URL("./load.ts", import.meta.url));

  /** @throws Error with the first answer that is none */
  async run(server: Server, operation: Operation, plan: Plan, ms: number): Promise<Turn> {
    const { tokens, connections } = { ...plan, ...operation };
    const { name, method, paths, bodies, items } = operation;
    const id = `${server.name} ${name}`;
    const load: Load = { id, port: server.port, tokens, method, paths, bodies, items, connections, ms };
    const before = await readCpu(await server.processes());
    this.#worker.postMessage(load);
    const [answer] = (await once(this.#worker, "message")) as [Figures | string];
    if (typeof answer === "string") throw new Error(`${server.name}, ${name}: ${answer}`);
    return { ...answer, cpu: cpuBetween(before, await readCpu(await server.processes())) };
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** The medians of turns; their CPU time is divided by all requests, so that its grain does not count. */
function cellOf(turns: Turn[], against: Turn[] | undefined): Cell {
  const of = (key: keyof Figures): number => median(turns.map((one) => one[key]));
  const requests = turns.reduce((sum, one) => sum + one.requests, 0);
  const cpu: Record<string, number> = {};
  for (const turn of turns)
    for (const [name, microseconds] of turn.cpu) cpu[name] = (cpu[name] ?? 0) + microseconds / requests;
  const ratios = turns.map((one, round) => one.perSecond / (against?.[round]?.perSecond ?? NaN));
  return {
    requests: of("requests"),
    perSecond: of("perSecond"),
    p50: of("p50"),
    p99: of("p99"),
    cpu,
    ratio: against === undefined ? null : median(ratios),
  };
}

/**
 * Measures in turns, so that whatever else the machine does meets all servers alike: each round asks each operation of
 * each server, and another server begins in each.
 * @param base the server that the others are compared with
 * @returns for each operation, and for each server in the order given, the medians of all rounds
 */
export async function measure(
  loader: Loader,
  servers: Server[],
  operations: Operation[],
  plan: Plan,
  base: Server | undefined,
): Promise<Cell[][]> {
  const seen = operations.map(() => servers.map((): Turn[] => []));
  for (let round = 0; round <= plan.rounds; round++)
    for (const [row, operation] of operations.entries()) {
      plan.onProgress(
        `${round === 0 ? "warming up" : `round ${round} of ${plan.rounds}`}: ${operation.name}`,
      );
      for (let turn = 0; turn < servers.length; turn++) {
        plan.signal.throwIfAborted();
        const column = (round + turn) % servers.length;
        const server = servers[column] as Server;
        const figures = await loader.run(server, operation, plan, round === 0 ? plan.warmUp : plan.ms);
        if (round > 0) seen[row]?.[column]?.push(figures);
      }
    }
  const baseColumn = base === undefined ? -1 : servers.indexOf(base);
  return seen.map((row) => row.map((turns) => cellOf(turns, row[baseColumn])));
}
