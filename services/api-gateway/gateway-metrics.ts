/** What the gateway measures (docs/metrics.md). */
import type { ServerResponse } from "node:http";
import onHeaders from "on-headers";
import type { Counter, Histogram } from "prom-client";
import type { Metrics } from "../../core/metrics.ts";
import { routeOf } from "./aliases.ts";
import type { Connections } from "./connections.ts";
import type { Request } from "./moleculer-web.ts";
import type { EventStreams } from "./open-event-streams.ts";
import { isPage } from "./web-pages.ts";

export interface RequestMetrics {
  seconds: Histogram<"method" | "route" | "status">;
  /** Requests whose clients were gone before the head of the response. */
  aborted: Counter<"method" | "route">;
}

/** @param gateway what the gauges read; its connections exist once the server does */
export function measureGateway(
  metrics: Metrics,
  gateway: { connections?: Connections; eventStreams: EventStreams },
): RequestMetrics {
  metrics.gauge("taskwire_http_connections", "Open connections", [], () => gateway.connections?.size ?? 0);
  metrics.gauge(
    "taskwire_event_streams",
    "Open responses of server-sent events",
    [],
    () => gateway.eventStreams.size,
  );
  return {
    seconds: metrics.histogram(
      "taskwire_http_request_duration_seconds",
      "Requests, up to the head of their response",
      ["method", "route", "status"],
    ),
    aborted: metrics.counter(
      "taskwire_requests_aborted_total",
      "Requests whose clients were gone before the head of the response",
      ["method", "route"],
    ),
  };
}

/** The pattern of a request's path. A path itself would give each task a series of its own. */
const patternOf = (request: Request): string => {
  if (request.$alias !== undefined) return routeOf(request.$alias).path;
  return isPage(request) ? "page" : "none";
};

/** Measures a request up to the head of its response, or counts that its client did not wait for it. */
export function measureRequest(
  { seconds, aborted }: RequestMetrics,
  request: Request,
  response: ServerResponse,
): void {
  const began = performance.now();
  const { method = "" } = request;
  onHeaders(response, () => {
    const labels = { method, route: patternOf(request), status: response.statusCode };
    seconds.observe(labels, (performance.now() - began) / 1000);
  });
  response.once("close", () => {
    if (!response.headersSent) aborted.inc({ method, route: patternOf(request) });
  });
}
