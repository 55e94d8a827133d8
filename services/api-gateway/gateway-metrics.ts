/** What the gateway measures (docs/metrics.md). */
import type { ServerResponse } from "node:http";
import type { Counter, Histogram } from "prom-client";
import type { Metrics } from "../../core/metrics.ts";
import type { Connections } from "./connections.ts";
import type { Request } from "./gateway-request.ts";
import type { LoadShedder } from "./load-shedder.ts";
import type { EventStreams } from "./open-event-streams.ts";
import { isPage } from "./web-pages.ts";

export interface RequestMetrics {
  seconds: Histogram<"method" | "route" | "status">;
  /** Requests whose clients were gone before the head of the response. */
  aborted: Counter<"method" | "route">;
  /** Requests that were refused because too many were under way. */
  shed: Counter<"kind">;
}

/** @param gateway what the gauges read; its connections exist once the server does */
export function measureGateway(
  metrics: Metrics,
  gateway: { connections?: Connections; eventStreams: EventStreams; shedder: LoadShedder },
): RequestMetrics {
  metrics.gauge("taskwire_http_connections", "Open connections", [], () => gateway.connections?.size ?? 0);
  metrics.gauge(
    "taskwire_event_streams",
    "Open responses of server-sent events",
    [],
    () => gateway.eventStreams.size,
  );
  metrics.gauge(
    "taskwire_requests_under_way",
    "Requests whose responses have not begun, without those that wait for events or hashes",
    [],
    () => gateway.shedder.underWay,
  );
  metrics.gauge(
    "taskwire_requests_under_way_max",
    "The most requests that this gateway has under way now: it refuses further ones",
    [],
    () => gateway.shedder.limit,
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
    shed: metrics.counter(
      "taskwire_requests_shed_total",
      "Requests refused with 503 because more came than the gateway could answer in time",
      ["kind"],
    ),
  };
}

/** The pattern of a request's path. A path itself would give each task a series of its own. */
const patternOf = (request: Request): string => request.route?.path ?? (isPage(request) ? "page" : "none");

/** Measures a request up to the head of its response, or counts that its client did not wait for it. */
export function measureRequest(
  { seconds, aborted }: RequestMetrics,
  request: Request,
  response: ServerResponse,
): void {
  const { method = "" } = request;
  request.onHead = (status) => {
    const labels = { method, route: patternOf(request), status };
    seconds.observe(labels, (performance.now() - request.arrivedAt) / 1000);
  };
  response.once("close", () => {
    if (!response.headersSent) aborted.inc({ method, route: patternOf(request) });
  });
}
