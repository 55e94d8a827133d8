/** What a notifier measures (docs/metrics.md). */
import type { LoggedEvent } from "../../core/events.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { Outcome } from "./socket-log.ts";

/** Bounds of an event's way in seconds. The promise without a broker is at 2 s. */
const DELAY_SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** What a notifier counts, each at the place where it happens. */
export interface NotifierMetrics {
  /** Events that a tail hands on, in the tick in which they are sent. */
  delivered(events: readonly LoggedEvent[], source: "hint" | "log"): void;
  /** A tail reads the log, since hints were missing or in doubt. */
  holeFound(): void;
  /** A handshake ended: `refused` is the client's fault. */
  connected(outcome: Outcome): void;
  /** @param reason as socket.io names it, or why the connection was terminated */
  disconnected(reason: string): void;
}

export type TailMetrics = Pick<NotifierMetrics, "delivered" | "holeFound">;

/** For tails that nobody measures. */
export const UNMEASURED: TailMetrics = { delivered: () => {}, holeFound: () => {} };

/** The gauges of a notifier, read at each scrape. */
interface State {
  sockets: () => number;
  streams: () => number;
  tailsBehind: () => number;
  waitingRequests: () => number;
}

/** Declares the metrics of a notifier. */
export function measureNotifier(metrics: Metrics, state: State): NotifierMetrics {
  const gauge = (name: string, help: string, read: () => number) => metrics.gauge(name, help, [], read);
  gauge("taskwire_sockets", "Open sockets", state.sockets);
  gauge("taskwire_streams", "Streams that the node follows", state.streams);
  gauge("taskwire_tails_behind", "Tails that know of events which are not sent yet", state.tailsBehind);
  gauge("taskwire_waiting_requests", "Requests that wait for an event", state.waitingRequests);
  const delivered = metrics.counter("taskwire_events_delivered_total", "Events sent to their listeners", [
    "source",
  ]);
  const delay = metrics.histogram(
    "taskwire_event_delivery_delay_seconds",
    "From the time of an event to its way into the sockets",
    [],
    DELAY_SECONDS,
  );
  const holes = metrics.counter("taskwire_stream_holes_total", "Reads of the log for what no hint brought");
  const connects = metrics.counter("taskwire_socket_connects_total", "Handshakes", ["outcome"]);
  const disconnects = metrics.counter("taskwire_socket_disconnects_total", "Sockets that ended", ["reason"]);
  return {
    delivered(events, source) {
      if (events.length === 0) return;
      delivered.inc({ source }, events.length);
      const now = Date.now();
      // The clock of another node may be ahead.
      for (const { time } of events) delay.observe(Math.max(0, now - Date.parse(time)) / 1000);
    },
    holeFound: () => holes.inc(),
    connected: (outcome) => connects.inc({ outcome }),
    disconnected: (reason) => disconnects.inc({ reason }),
  };
}
