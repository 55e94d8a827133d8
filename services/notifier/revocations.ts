import { problemDocument } from "../../core/errors.ts";
import type { Queryable } from "../../mixins/database.ts";
import { RevocationFeed } from "../../mixins/revocations.ts";
import type { PushServer } from "./streams.ts";

/**
 * Closes the sockets of sessions that end: at once when a hint says so, within a beat when none does.
 * @param tokenTtl seconds that an access token lives
 */
export const closeRevoked = (db: Queryable, io: PushServer, tokenTtl: number): RevocationFeed =>
  new RevocationFeed(db, tokenTtl, (ended) => {
    const sessions = new Set(ended);
    for (const socket of io.of("/").sockets.values()) {
      if (!sessions.has(socket.data.actor.session)) continue;
      socket.emit("session_ended", problemDocument("invalid-token", "The session was ended: log in again"));
      socket.disconnect(true);
    }
  });
