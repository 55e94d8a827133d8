import type { ServiceBroker } from "moleculer";
import { LISTENER } from "./hint-listener.ts";
import type { Notifier } from "./notifier.state.ts";
import { dismiss } from "./revocations.ts";
import { slowSockets, terminate } from "./slow-client.ts";
import type { PushServer } from "./sockets.ts";

/** Milliseconds between two beats: an event is this late at most when its hint was lost. */
const BEAT_MS = 1000;

/** Beats under way: one that waits for Postgres does not keep the next one from asking on another connection. */
const MAX_BEATS = 3;

/** Ends sockets whose client reads too slowly, and those whose token has expired. */
function sweep(io: PushServer): void {
  const { sockets } = io.of("/");
  for (const socket of slowSockets(sockets.values(), ({ data }) => data.actor.id))
    terminate(socket, "slow reader");
  const now = Date.now();
  for (const socket of sockets.values()) {
    const { expiresAt } = socket.data;
    if (expiresAt !== null && now >= expiresAt) dismiss(socket, "token_expired", "The token has expired");
  }
}

/** The nodes whose notifier listens to hints, as far as this one knows. */
const listenersOf = ({ registry }: ServiceBroker): string[] =>
  registry
    .getServiceList({ onlyAvailable: true })
    .flatMap(({ name, nodeID }) => (name === LISTENER && nodeID !== undefined ? [nodeID] : []));

/** Sweeps the sockets and lets the streams read what no hint brought. An outage is logged once. @returns how to stop it */
export function startBeat(self: Notifier): () => void {
  const { broker, hints, io, limits, streams, logger } = self;
  let beats = 0;
  let isFailing = false;
  const timer = setInterval(() => {
    sweep(io);
    limits.prune();
    self.listeners = listenersOf(broker);
    hints.endUnless(streams.counts.followed > 0);
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
