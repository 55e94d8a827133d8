/** The way of a socket from its handshake to `ready` (docs/reference.md, Connecting). */
import { Problem, problemCode, type ProblemCode } from "../../core/errors.ts";
import { currentScope, endScope, openScope, placeOf, runIn, traceparentOf } from "../../core/trace.ts";
import { forgetFrame, holdWrites, releaseWrites } from "./frames.ts";
import { type Handshake, parseHandshake } from "./handshake.ts";
import type { Notifier } from "./notifier.state.ts";
import { requestIdOf } from "./refusals.ts";
import { socketProblem } from "./requests.ts";
import { dismiss, mustNotBeRevoked, SESSION_ENDED } from "./revocations.ts";
import { closeConnection, terminationOf } from "./slow-client.ts";
import type { Outcome } from "./socket-log.ts";
import type { ClientSocket } from "./sockets.ts";

/** Temporary problems. The connection is closed and the client connects again; a refusal would make it stay away. */
const TEMPORARY: ProblemCode[] = ["database-unavailable", "service-unavailable", "overloaded", "timeout"];

/**
 * Verifies the handshake and the token, and finds room for one more socket of the user.
 * @throws Problem unauthenticated, invalid-token, validation-failed, too-many-streams, rate-limited; one of TEMPORARY
 */
async function admit(self: Notifier, socket: ClientSocket): Promise<void> {
  const handshake = parseHandshake(socket.handshake.auth);
  const { actor, expiresAt } = await self.authenticate(handshake.token);
  // Before the refusals below, whose line in the log names the user.
  const follows = handshake.streams === null;
  socket.data = { actor, expiresAt, handshake, follows, streams: new Set(), leftOut: 0 };
  mustNotBeRevoked(self.revocations, actor);
  const open = self.limits.openSockets(actor.id);
  if (self.isLimited && open >= self.config.SOCKETS_PER_USER)
    throw new Problem("rate-limited", `You have ${open} sockets open: close one of them first`);
  // The client connects again by itself, later each time.
  if (self.isLimited && !self.limits.spend(actor.id)) throw new Problem("overloaded");
  // A connection that has closed needs no answer.
  if (!self.limits.enter(actor.id, socket.conn)) throw new Problem("service-unavailable");
}

/**
 * Refuses sockets before they are open: `connect_error` on the client, with the problem. The handshake is a scope, as a
 * request is: the socket's joins and its end belong to it too.
 */
export function refuseOrAdmit(self: Notifier, socket: ClientSocket, next: (error?: Error) => void): void {
  const beganAt = performance.now();
  const scope = openScope({
    service: self,
    name: "socket handshake",
    kind: "server",
    requestId: requestIdOf(socket.request),
    parent: placeOf(traceparentOf(socket.request)),
  });
  const end = (outcome: Outcome, problem: ProblemCode | null, error?: unknown): void => {
    self.metrics.connected(outcome);
    self.socketLog.handshake(socket, outcome, problem, beganAt);
    endScope(scope, error);
  };
  void runIn(scope, () =>
    admit(self, socket).then(
      () => {
        end("admitted", null);
        // socket.io's answer leaves together with `ready`, which most sockets get at once.
        holdWrites(socket.conn);
        next();
      },
      (error: unknown) => {
        const code = problemCode(error);
        const isTemporary = code !== null && TEMPORARY.includes(code);
        end(code === null || isTemporary ? "failed" : "refused", code ?? "internal-error", error);
        if (code === null) self.logger.error("the admission of a socket failed", error);
        if (isTemporary) {
          closeConnection(socket);
          next();
        } else next(Object.assign(new Error("refused"), { data: socketProblem(error) }));
      },
    ),
  );
}

/** In place of the handshakes of all sockets that are open, and of the acknowledgements that the server waits for. */
const FORGOTTEN = {
  handshake: Object.freeze({ headers: {}, query: {}, auth: {} }),
  acks: new Map<never, never>(),
};

/** Forgets the request that opened a socket: it is a fifth of what a socket holds in memory, and nobody asks for it. */
function forgetRequest(socket: ClientSocket): void {
  socket.data.handshake = null;
  Object.assign(socket, FORGOTTEN);
  Object.assign(socket.conn, { request: null });
  forgetFrame(socket.conn);
}

/** Serves a socket that was admitted. */
export function serve(self: Notifier, socket: ClientSocket): void {
  self.endpoint.authenticated(socket.conn);
  const { handshake } = socket.data;
  forgetRequest(socket);
  const openedAt = performance.now();
  const scope = currentScope();
  socket.on("disconnect", (why) => {
    const reason = terminationOf(socket.conn) ?? why;
    self.streams.forget(socket);
    self.expiries.forget(socket);
    self.metrics.disconnected(reason);
    const log = (): void => self.socketLog.end(socket, reason, openedAt);
    if (scope === undefined) log();
    else runIn(scope, log);
    // A connection is of no use without its socket.
    closeConnection(socket);
  });
  // The session may have ended during the admission, when the socket was not open yet and could not be closed.
  const ended = self.revocations.has(socket.data.actor.session);
  if (ended === null) return closeConnection(socket);
  if (ended) return dismiss(socket, "session_ended", SESSION_ENDED);
  self.expiries.set(socket, socket.data.expiresAt);
  socket.onAny(self.onRequest);
  const charge = (streams: number) => self.limits.charge(socket.data.actor.id, streams);
  self.streams
    .connect(socket, handshake as Handshake, charge)
    .catch((error: unknown) => {
      self.logger.warn(`socket ${socket.id} could not join its streams: its client connects again`, error);
      closeConnection(socket);
    })
    .finally(() => releaseWrites(socket.conn));
}
