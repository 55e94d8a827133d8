/** The requests of an open socket, each answered by its acknowledgement: `{…}` or `{problem}`. */
import { newId } from "../../core/ids.ts";
import {
  missing,
  Problem,
  problemCode,
  type ProblemCode,
  problemDocument,
  type ProblemDocument,
} from "../../core/errors.ts";
import { begin } from "../../core/trace.ts";
import { parseCursor, parseStream, tooManyStreams } from "./handshake.ts";
import type { SocketRequests, StreamPosition } from "./notifier.contract.ts";
import type { Notifier } from "./notifier.state.ts";
import { mustNotBeRevoked } from "./revocations.ts";
import { terminate } from "./slow-client.ts";
import type { ClientSocket } from "./sockets.ts";

/** Requests of one socket that may wait for their turn. */
const MAX_WAITING_REQUESTS = 100;

type Acknowledge = (answer: object) => void;
/** Fields of a request, which the client may have left out or filled with anything. */
type Unchecked<Request> = { [Field in keyof Request]?: unknown };
type Handle<Name extends keyof SocketRequests> = (
  from: { self: Notifier; socket: ClientSocket },
  request: Unchecked<SocketRequests[Name]["request"]>,
  reply: (done: SocketRequests[Name]["done"]) => void,
) => Promise<void> | void;

/** A failure as the client may see it. */
export const socketProblem = (error: unknown): ProblemDocument => {
  const code = problemCode(error) ?? "internal-error";
  const { message, data } = error as Problem;
  return problemDocument(code, code === "internal-error" ? "The server failed" : message, {
    ...(data?.resource && { resource: data.resource }),
    ...(data?.errors && { errors: data.errors }),
  });
};

const HANDLES: { [Name in keyof SocketRequests]: Handle<Name> } = {
  subscribe({ self, socket }, { stream, cursor }, reply) {
    const name = parseStream(stream, "stream");
    const from = cursor === undefined ? null : parseCursor(cursor, "cursor");
    if (socket.data.streams.has(name))
      throw new Problem("conflict", "The socket is already subscribed to this stream");
    return self.streams.join(socket, new Map([[name, from]]), ({ places, leftOut }) => {
      if (leftOut > 0) throw tooManyStreams();
      if (!places.has(name)) throw missing("stream", name);
      reply({ stream: name, ...(self.streams.positions(socket, places)[name] as StreamPosition) });
    });
  },

  async unsubscribe({ self, socket }, { stream }, reply) {
    const name = parseStream(stream, "stream");
    await self.streams.leave(socket, name);
    reply({ stream: name });
  },

  async authenticate({ self, socket }, { token }, reply) {
    const { actor, expiresAt } = await self.authenticate(String(token));
    mustNotBeRevoked(self.revocations, actor);
    if (actor.id !== socket.data.actor.id)
      throw new Problem("invalid-token", "The token belongs to another user: open another connection");
    // Set before anything is awaited: a session that ends from now on finds its socket.
    socket.data.actor = actor;
    self.expiries.set(socket, expiresAt);
    await self.streams.renewed(socket);
    reply({ expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString() });
  },
};

const isRequest = (name: string): name is keyof SocketRequests => Object.hasOwn(HANDLES, name);

/** The requests of a socket: the last one's turn, and how many wait for theirs. */
interface Requests {
  turn: Promise<void>;
  waiting: number;
}

async function answer(
  self: Notifier,
  socket: ClientSocket,
  name: keyof SocketRequests,
  request: object,
  reply: Acknowledge,
): Promise<void> {
  const beganAt = performance.now();
  let problem: ProblemCode | null = null;
  try {
    if (self.isLimited && !self.limits.spend(socket.data.actor.id))
      throw new Problem("rate-limited", "Your sockets send too many requests: wait a moment");
    await HANDLES[name]({ self, socket }, request, reply);
  } catch (error) {
    const code = problemCode(error);
    problem = code ?? "internal-error";
    if (code === null) self.logger.error(`${name} failed`, error);
    reply({ problem: socketProblem(error) });
  }
  self.socketLog.request(socket, name, problem, beganAt);
}

/**
 * A listener to all that the sockets of a notifier ask for (`socket.onAny`). It answers the requests of a socket one after
 * another, in the order of their arrival. All sockets share it, and one that asks for nothing holds nothing.
 */
export function requestListener(
  self: Notifier,
): (this: ClientSocket, name: string, ...sent: unknown[]) => void {
  const asked = new WeakMap<ClientSocket, Requests>();

  return function (name, ...sent) {
    if (!isRequest(name)) return;
    // The acknowledgement comes last, also after no argument at all.
    const acknowledge = sent.at(-1);
    const reply = typeof acknowledge === "function" ? (acknowledge as Acknowledge) : () => {};
    const request = typeof sent[0] === "object" ? sent[0] : null;
    const requests = asked.get(this) ?? { turn: Promise.resolve(), waiting: 0 };
    asked.set(this, requests);
    // A request costs queries, so a client that sends faster than they run is not queued for.
    if (++requests.waiting > MAX_WAITING_REQUESTS) return terminate(this, "flood");
    requests.turn = requests.turn.then(async () => {
      requests.waiting -= 1;
      if (this.disconnected) return;
      const origin = { requestId: newId(), parent: null };
      await begin({ service: self, name: `socket ${name}`, kind: "server", ...origin }, () =>
        answer(self, this, name, request ?? {}, reply),
      );
    });
  };
}
