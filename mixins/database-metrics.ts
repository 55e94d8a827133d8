/** What a node measures of Postgres (docs/metrics.md). */
import { PROBLEMS, problemCode } from "../core/errors.ts";
import type { Metrics } from "../core/metrics.ts";

/** Bounds of statements in seconds: most take less than a millisecond or two. */
const QUERY_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 2, 5];

/** The pools of one node, and its snapshots, each of which has a connection of its own. */
export type PoolName = "reads" | "writes" | "transactions" | "slow" | "snapshots";

export interface PoolState {
  /** Open connections. */
  connections: number;
  /** Statements or transactions under way. */
  used: number;
  /** Statements or transactions that wait for a connection. */
  waiting: number;
  /** The most that `used` can be; absent where the caller bounds it. */
  max?: number;
}

export interface DatabaseMetrics {
  /** Runs one statement and measures it, its wait for a connection included. */
  query<Result>(pool: PoolName, work: () => Promise<Result>): Promise<Result>;
  /** Counts a failure, if it is Postgres' fault. @returns the error, to be thrown */
  failed(error: unknown): unknown;
  /** Counts a lost connection. */
  interrupted(): void;
}

/** Declares the metrics. @param pools reads the pools' state at a scrape */
export function measureDatabase(metrics: Metrics, pools: () => Record<PoolName, PoolState>): DatabaseMetrics {
  const seconds = metrics.histogram(
    "taskwire_database_query_duration_seconds",
    "Statements, with their wait for a connection",
    ["pool"],
    QUERY_SECONDS,
  );
  const ofPool = {
    reads: seconds.labels("reads"),
    writes: seconds.labels("writes"),
    transactions: seconds.labels("transactions"),
    slow: seconds.labels("slow"),
    snapshots: seconds.labels("snapshots"),
  } satisfies Record<PoolName, unknown>;
  const errors = metrics.counter("taskwire_database_errors_total", "Statements that Postgres failed", [
    "problem",
  ]);
  const interruptions = metrics.counter(
    "taskwire_database_interruptions_total",
    "Connections that were lost",
  );
  const gauge = (name: string, help: string, of: keyof PoolState) =>
    metrics.gauge(name, help, ["pool"], () =>
      Object.entries(pools()).flatMap(([pool, state]) => {
        const value = state[of];
        return value === undefined ? [] : [[{ pool }, value] as const];
      }),
    );
  gauge("taskwire_database_connections", "Open connections", "connections");
  gauge("taskwire_database_pool_used", "Statements or transactions under way", "used");
  gauge("taskwire_database_pool_waiting", "Statements or transactions that wait for a connection", "waiting");
  gauge("taskwire_database_pool_max", "The most that can be under way", "max");

  function failed(error: unknown): unknown {
    const problem = problemCode(error);
    if (problem !== null && PROBLEMS[problem].status >= 500) errors.inc({ problem });
    return error;
  }
  return {
    async query(pool, work) {
      const began = performance.now();
      try {
        return await work();
      } catch (error) {
        throw failed(error);
      } finally {
        ofPool[pool].observe((performance.now() - began) / 1000);
      }
    },
    failed,
    interrupted: () => interruptions.inc(),
  };
}
