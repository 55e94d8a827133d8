import { Problem, problemDocument } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Database } from "../../mixins/database.ts";
import { RevocationFeed } from "../../mixins/revocations.ts";
import type { ClientSocket, PushServer } from "./sockets.ts";
import type { Waits } from "./waits.ts";

export const SESSION_ENDED = "The session was ended: log in again";

/** @throws Problem invalid-token for a session that ended; service-unavailable while this node can't know */
export function mustNotBeRevoked(revocations: RevocationFeed, actor: Actor): void {
  const ended = revocations.has(actor.session);
  if (ended === null) throw new Problem("service-unavailable");
  if (ended) throw new Problem("invalid-token", SESSION_ENDED);
}

/**
 * Tells a client why its socket ends, and to stay away until its user has logged in (docs/reference.md, How a connection
 * ends).
 */
export function dismiss(
  socket: ClientSocket,
  frame: "session_ended" | "token_expired",
  detail: string,
): void {
  socket.emit(frame, problemDocument("invalid-token", detail));
  socket.disconnect(true);
}

/**
 * Ends the sockets and the waiting requests of a session that ends: at once after a hint, and at the feed's next read without one.
 * @param tokenTtlS seconds that an access token lives
 */
export const endRevoked = (
  db: Database,
  io: PushServer,
  waits: Pick<Waits, "endSessions">,
  tokenTtlS: number,
): RevocationFeed =>
  new RevocationFeed(db, tokenTtlS, (ended) => {
    const sessions = new Set(ended);
    waits.endSessions(sessions);
    for (const socket of io.of("/").sockets.values())
      if (sessions.has(socket.data.actor.session)) dismiss(socket, "session_ended", SESSION_ENDED);
  });
