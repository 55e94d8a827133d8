/** Sockets, streams and events. */
import type { Dashboard } from "../grafana.ts";
import { lines, quantiles, query, rateBy } from "./panels.ts";

const DELAY = "taskwire_event_delivery_delay_seconds";

export const realtime: Dashboard = {
  uid: "taskwire-realtime",
  title: "Taskwire: realtime",
  panels: [
    lines({
      title: "Sockets",
      description: "A notifier is measured with 10,000; the alert is at 8,000.",
      unit: "short",
      limit: 8000,
      queries: [query("taskwire_sockets", "{{instance}}")],
    }),
    lines({
      title: "Streams",
      description: "That a notifier follows, a tail each.",
      unit: "short",
      queries: [query("taskwire_streams", "{{instance}}")],
    }),
    lines({
      title: "Requests that wait for an event",
      description: "/sync and event streams, at the notifiers.",
      unit: "short",
      queries: [query("taskwire_waiting_requests", "{{instance}}")],
    }),
    lines({
      title: "An event's way",
      description: "From its time to the sockets.",
      unit: "s",
      limit: 2,
      queries: quantiles(DELAY, [0.5, 0.95, 0.99]),
    }),
    lines({
      title: "Events sent",
      description: "By what brought them: a hint, or a read of the log because hints were missing.",
      unit: "ops",
      queries: rateBy("source", "taskwire_events_delivered_total"),
    }),
    lines({
      title: "Holes",
      description: "Reads of the log for what no hint brought, each second.",
      unit: "ops",
      queries: [query("sum(rate(taskwire_stream_holes_total[$__rate_interval]))", "holes")],
    }),
    lines({
      title: "Tails behind",
      description: "Tails that know of events which they have not sent.",
      unit: "short",
      limit: 1,
      queries: [query("taskwire_tails_behind", "{{instance}}")],
    }),
    lines({
      title: "Handshakes",
      description: "`refused` is the client's fault.",
      unit: "ops",
      queries: rateBy("outcome", "taskwire_socket_connects_total"),
    }),
    lines({
      title: "Sockets that ended",
      description: "By socket.io's reason.",
      unit: "ops",
      queries: rateBy("reason", "taskwire_socket_disconnects_total"),
    }),
    lines({
      title: "Open files",
      description: "The share of what a node may open. Each socket is one.",
      unit: "percentunit",
      limit: 0.8,
      queries: [
        query(
          "(process_open_fds / process_max_fds) and on (instance, job) taskwire_build_info",
          "{{instance}}",
        ),
      ],
    }),
  ],
};
