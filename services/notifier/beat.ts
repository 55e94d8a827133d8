import type { ServiceBroker } from "moleculer";
import { LISTENER } from "./hint-listener.ts";
import type { Notifier } from "./notifier.state.ts";
import { dismiss } from "./revocations.ts";
import { slowConnections, terminate } from "./slow-client.ts";
import type { ClientSocket } from "./sockets.ts";

/** Milliseconds between two beats: an event is this late at most when its hint was lost. */
const BEAT_MS = 1000;

/** Beats under way: one that waits for Postgres does not keep the next one from asking on another connection. */
const MAX_BEATS = 3;

/** Ends sockets whose client reads too slowly, and those whose token has expired. */
function sweep({ io, expiries }: Notifier): void {
  const { sockets } = io.of("/");
  let users: Map<ClientSocket["conn"], string> | undefined;
  // Nearly always nobody asks.
  const userOf = (conn: ClientSocket["conn"]): string | undefined => {
    users ??= new Map([...sockets.values()].map(({ conn, data }) => [conn, data.actor.id]));
    return users.get(conn);
  };
  for (const conn of slowConnections(io.engine, userOf)) terminate({ conn }, "slow reader");
  for (const socket of expiries.due()) dismiss(socket, "token_expired", "The token has expired");
}

/** The nodes whose notifier listens to hints, as far as this one knows. */
const listenersOf = ({ registry }: ServiceBroker): string[] =>
  registry
    .getServiceList({ onlyAvailable: true })
    .flatMap(({ name, nodeID }) => (name === LISTENER && nodeID !== undefined ? [nodeID] : []));

/** Sweeps the sockets and lets the streams read what no hint brought. An outage is logged once. @returns how to stop it */
export function startBeat(self: Notifier): () => void {
  const { broker, hints, limits, streams, logger } = self;
  let beats = 0;
  let isFailing = false;
  const timer = setInterval(() => {
    sweep(self);
    limits.prune();
    self.listeners = listenersOf(broker);
    hints.endUnless(streams.followed > 0);
    if (beats >= MAX_BEATS) return;
    beats += 1;
    streams
      .beat()
      .then(() => (isFailing = false))
      .catch((error: Error) => {
        if (!isFailing) logger.warn(`the log can't be read now: ${error.message}`);
        isFailing = true;
      })
      .finally(() => (beats -= 1));
  }, BEAT_MS);
  return () => clearInterval(timer);
}
