/** Requests and actions. */
import type { Dashboard } from "../grafana.ts";
import { lines, quantiles, query, rateBy } from "./panels.ts";

const HTTP = "taskwire_http_request_duration_seconds";

export const api: Dashboard = {
  uid: "taskwire-api",
  title: "Taskwire: API",
  panels: [
    lines({
      title: "Requests by status",
      description: "Of all gateways.",
      unit: "reqps",
      queries: rateBy("status", `${HTTP}_count`),
    }),
    lines({
      title: "Busiest routes",
      description: "The ten with the most requests.",
      unit: "reqps",
      queries: [
        query(
          `topk(10, sum by (method, route) (rate(${HTTP}_count[$__rate_interval])))`,
          "{{method}} {{route}}",
        ),
      ],
    }),
    lines({
      title: "Failures by route",
      description: "5xx.",
      unit: "reqps",
      emptyWhenHealthy: "no request fails",
      queries: [
        query(
          `sum by (method, route, status) (rate(${HTTP}_count{status=~"5.."}[$__rate_interval]))`,
          "{{method}} {{route}} {{status}}",
        ),
      ],
    }),
    lines({
      title: "Time of requests",
      description: "Up to the head of the response, without /sync.",
      unit: "s",
      limit: 0.2,
      queries: quantiles(HTTP, [0.5, 0.95, 0.99], [], '{route!="/sync"}'),
    }),
    lines({
      title: "p95 of the slowest routes",
      description: "The ten slowest. /sync waits on purpose.",
      unit: "s",
      queries: quantiles(HTTP, [0.95], ["method", "route"]).map(({ expr, legend }) =>
        query(`topk(10, ${expr} > 0)`, legend),
      ),
    }),
    lines({
      title: "p95 of the slowest actions",
      description: "The handling alone, at the node that has the action. The ten slowest.",
      unit: "s",
      queries: quantiles("taskwire_action_duration_seconds", [0.95], ["action"]).map(({ expr, legend }) =>
        query(`topk(10, ${expr} > 0)`, legend),
      ),
    }),
    lines({
      title: "Actions by outcome",
      description: "`refused` is the caller's fault, `failed` is not.",
      unit: "ops",
      queries: rateBy("outcome", "taskwire_action_duration_seconds_count"),
    }),
    lines({
      title: "Refused by a budget",
      description: "429, by the budget that was spent.",
      unit: "reqps",
      emptyWhenHealthy: "no client spends its budget",
      queries: rateBy("budget", "taskwire_rate_limited_total"),
    }),
    lines({
      title: "Refused because there were too many",
      description:
        "503 `overloaded`: by gateways, by whose requests they were, and by nodes that had too many calls.",
      unit: "reqps",
      emptyWhenHealthy: "all requests are answered in time",
      queries: [
        ...rateBy("kind", "taskwire_requests_shed_total"),
        query("sum(rate(taskwire_calls_refused_total[$__rate_interval]))", "calls"),
      ],
    }),
    lines({
      title: "Requests under way",
      description: "At the gateway with the most, and the fewest that a gateway may have now.",
      unit: "short",
      queries: [
        query("max(taskwire_requests_under_way)", "under way"),
        query("min(taskwire_requests_under_way_max)", "limit"),
      ],
    }),
    lines({
      title: "Budgets without Redis",
      description: "Gateways that count requests by themselves.",
      unit: "short",
      limit: 1,
      queries: [query("sum(taskwire_rate_limit_fallback)", "gateways")],
    }),
    lines({
      title: "Open at the gateways",
      description: "Connections, and responses of server-sent events among them.",
      unit: "short",
      queries: [
        query("sum(taskwire_http_connections)", "connections"),
        query("sum(taskwire_event_streams)", "event streams"),
      ],
    }),
    lines({
      title: "Passwords that wait for a thread",
      description: "Logins come in faster than hashes are made where this stays above 0.",
      unit: "short",
      queries: [query("sum(taskwire_hashes_waiting)", "hashes")],
    }),
  ],
};
