/** The promises, and whether each part is there. */
import type { Dashboard } from "../grafana.ts";
import { lines, query, stat } from "./panels.ts";

export const overview: Dashboard = {
  uid: "taskwire-overview",
  title: "Taskwire: overview",
  panels: [
    stat({
      title: "Requests",
      description: "Of all gateways, over five minutes.",
      unit: "reqps",
      queries: [query("taskwire:http_requests:rate5m")],
    }),
    stat({
      title: "Errors",
      description: "The share of requests that ended with 5xx. The promise is 0.1 %; the alert is at 1 %.",
      unit: "percentunit",
      limit: 0.001,
      queries: [query("taskwire:http_errors:ratio5m")],
    }),
    stat({
      title: "p95 of requests",
      description: "Without /sync, which waits on purpose. The goal is 20 ms, the ceiling 200 ms.",
      unit: "s",
      limit: 0.2,
      queries: [query("taskwire:http_request_seconds:p95_5m")],
    }),
    stat({
      title: "p99 of requests",
      description: "The goal is 50 ms, the ceiling 500 ms.",
      unit: "s",
      limit: 0.5,
      queries: [query("taskwire:http_request_seconds:p99_5m")],
    }),
    stat({
      title: "p99 of an event's way",
      description: "From an event's time to its way into the sockets. Without a broker 2 s are promised.",
      unit: "s",
      limit: 2,
      queries: [query("taskwire:event_delivery_seconds:p99_5m")],
    }),
    stat({
      title: "Alerts",
      description: "That fire now.",
      unit: "short",
      limit: 1,
      queries: [query('count(ALERTS{alertstate="firing"}) or vector(0)')],
    }),
    stat({
      title: "Nodes ready",
      description: "The share of the nodes that answer /ready with 200.",
      unit: "percentunit",
      limit: 1,
      below: true,
      queries: [query("avg(taskwire_ready)")],
    }),
    ...["database", "nats", "redis"].map((dependency) =>
      stat({
        title: { database: "Postgres", nats: "NATS", redis: "Redis" }[dependency] as string,
        description: "1 while every node gets answers from it.",
        unit: "short",
        limit: 1,
        below: true,
        queries: [query(`taskwire:dependency_up:min{dependency="${dependency}"}`)],
      }),
    ),
    stat({
      title: "Sockets",
      description: "Open at all notifiers.",
      unit: "short",
      queries: [query("sum(taskwire_sockets)")],
    }),
    stat({
      title: "Tails behind",
      description: "Streams with events in the log that their notifier has not sent.",
      unit: "short",
      limit: 1,
      queries: [query("sum(taskwire_tails_behind)")],
    }),
    lines({
      title: "Nodes of each service",
      description: "As the gateways know them.",
      unit: "short",
      queries: [
        query(
          "max by (service) (taskwire_service_nodes and on (instance, job) taskwire_http_connections)",
          "{{service}}",
        ),
      ],
    }),
    lines({
      title: "Event loop",
      description: "The p99 of a node's delays. At 200 ms everything that it does is late.",
      unit: "s",
      limit: 0.2,
      queries: [
        query("nodejs_eventloop_lag_p99_seconds and on (instance, job) taskwire_build_info", "{{instance}}"),
      ],
    }),
    lines({
      title: "CPU",
      description: "Seconds of CPU a second. One event loop fills one.",
      unit: "percentunit",
      queries: [
        query(
          "rate(process_cpu_seconds_total[$__rate_interval]) and on (instance, job) taskwire_build_info",
          "{{instance}}",
        ),
      ],
    }),
    lines({
      title: "Memory",
      description: "Resident.",
      unit: "bytes",
      queries: [
        query("process_resident_memory_bytes and on (instance, job) taskwire_build_info", "{{instance}}"),
      ],
    }),
    lines({
      title: "Versions",
      description: "Nodes of each version: two while a rollout goes on.",
      unit: "short",
      queries: [query("count by (version) (taskwire_build_info)", "{{version}}")],
    }),
  ],
};
