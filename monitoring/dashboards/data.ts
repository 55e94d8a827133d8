/** Postgres, the cache, NATS and Redis. */
import type { Dashboard } from "../grafana.ts";
import { lines, quantiles, query, rateBy } from "./panels.ts";

export const data: Dashboard = {
  uid: "taskwire-data",
  title: "Taskwire: Postgres, cache, NATS and Redis",
  panels: [
    lines({
      title: "Statements",
      description: "By pool, of all nodes.",
      unit: "ops",
      queries: rateBy("pool", "taskwire_database_query_duration_seconds_count"),
    }),
    lines({
      title: "p95 of statements",
      description: "With the wait for a connection. The goal is 5 ms.",
      unit: "s",
      limit: 0.005,
      queries: quantiles("taskwire_database_query_duration_seconds", [0.95], ["pool"]),
    }),
    lines({
      title: "Fullest pools",
      description: "The share of its places that a pool uses, at the node where it is fullest.",
      unit: "percentunit",
      limit: 0.9,
      queries: [
        query("max by (pool) (taskwire_database_pool_used / taskwire_database_pool_max)", "{{pool}}"),
      ],
    }),
    lines({
      title: "Waiting for a connection",
      description: "Statements and transactions.",
      unit: "short",
      limit: 1,
      queries: [query("sum by (pool) (taskwire_database_pool_waiting)", "{{pool}}")],
    }),
    lines({
      title: "Connections",
      description: "Of all nodes, to be held against max_connections.",
      unit: "short",
      queries: [
        query("sum by (pool) (taskwire_database_connections)", "{{pool}}"),
        query("sum(taskwire_database_connections)", "all"),
      ],
    }),
    lines({
      title: "Statements that Postgres failed",
      description: "Away, too late, or too many.",
      unit: "ops",
      emptyWhenHealthy: "no statement fails",
      queries: rateBy("problem", "taskwire_database_errors_total"),
    }),
    lines({
      title: "Lost connections",
      description: "A second: a restart, a failover, a network.",
      unit: "ops",
      queries: [query("sum(rate(taskwire_database_interruptions_total[$__rate_interval]))", "lost")],
    }),
    lines({
      title: "Cache hits",
      description: "The share of questions to the cache that it answered, over all and by kind.",
      unit: "percentunit",
      queries: [
        query("taskwire:cache_hits:ratio5m", "all"),
        query(
          "sum by (kind) (rate(taskwire_cache_hits_total[$__rate_interval])) / (sum by (kind) (rate(taskwire_cache_hits_total[$__rate_interval])) + sum by (kind) (rate(taskwire_cache_misses_total[$__rate_interval])) > 0)",
          "{{kind}}",
        ),
      ],
    }),
    lines({
      title: "Dependencies",
      description: "The share of the nodes that get answers.",
      unit: "percentunit",
      limit: 1,
      below: true,
      queries: [query("avg by (dependency) (taskwire_dependency_up)", "{{dependency}}")],
    }),
    lines({
      title: "Their answers to a ping",
      description: "The slowest node's.",
      unit: "s",
      queries: [query("max by (dependency) (taskwire_dependency_latency_seconds)", "{{dependency}}")],
    }),
  ],
};
