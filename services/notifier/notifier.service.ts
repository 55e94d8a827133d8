import type { Server as HttpServer } from "node:http";
import type { Duplex } from "node:stream";
import type { Service, ServiceSchema } from "moleculer";
import { Server } from "socket.io";
import type { Config } from "../../core/config.ts";
import {
  missing,
  Problem,
  problemCode,
  problemDocument,
  type ProblemCode,
  type ProblemDocument,
} from "../../core/errors.ts";
import { type Actor, on, service } from "../../core/kit.ts";
import { createTokens } from "../../core/tokens.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import { committed } from "../../mixins/event-log.ts";
import type { RevocationFeed } from "../../mixins/revocations.ts";
import { revoked } from "../auth/auth.contract.ts";
import { sessionsEnded } from "../users/users.contract.ts";
import { Crowd } from "./crowd.ts";
import { createSocketServer, Door } from "./door.ts";
import { MAX_HANDSHAKE_BYTES } from "./frames.ts";
import { type Handshake, parseCursor, parseHandshake, parseStream, tooManyStreams } from "./handshake.ts";
import { type Link, linkNotifiers } from "./link.ts";
import type { NotifierContract } from "./notifier.contract.ts";
import { closeRevoked } from "./revocations.ts";
import { type Identity, identifier } from "./identity.ts";
import { endSockets, trackUpgrades } from "./shutdown.ts";
import { cutOff, letGo, slowSockets } from "./slow-client.ts";
import { type ClientSocket, type PushServer, Streams } from "./streams.ts";

/** Milliseconds between two looks at the log's heads: how late a frame may be when its hint was lost. */
const BEAT_MS = 1000;

/** Milliseconds that a connection has to say who it is. */
const CONNECT_WITHIN_MS = 10_000;

/** Requests of one socket that may wait for their turn. */
const MAX_WAITING_REQUESTS = 100;

interface Notifier extends WithDatabase {
  io: PushServer;
  door: Door;
  /** Who a token speaks for. */
  identify(token: string): Promise<Identity>;
  /** What the sockets of each user cost this node; without rate limits, nothing is refused by it. */
  crowd: Crowd;
  isLimited: boolean;
  streams: Streams;
  revocations: RevocationFeed;
  link: Link | null;
  beat: NodeJS.Timeout;
  /** Only when the gateway runs elsewhere: else its server carries the sockets too. */
  ownServer?: HttpServer;
  /** The connections under the sockets that came as WebSockets, or became such. */
  upgraded: Set<Duplex>;
}

type Acknowledge = (answer: object) => void;

const documentOf = (error: unknown): ProblemDocument => {
  const code = problemCode(error) ?? "internal-error";
  const { message, data } = error as Problem;
  return problemDocument(code, code === "internal-error" ? "The server failed" : message, {
    ...(data?.resource && { resource: data.resource }),
    ...(data?.errors && { errors: data.errors }),
  });
};

/** Failures that pass: the client is let go and comes back by itself, instead of being told to stay away. */
const PASSING: ProblemCode[] = ["database-unavailable", "service-unavailable", "overloaded", "timeout"];

/**
 * Answers a client's request by its acknowledgement: `{…}` or `{problem}`. Serial for each socket. What a handler returns
 * makes the answer in the tick that sends it: frames that were sent before are told as such.
 */
function answering(self: Service & Notifier, socket: ClientSocket) {
  let turn = Promise.resolve();
  let waiting = 0;
  return (event: string, handle: (request: Record<string, unknown>) => Promise<() => object>) => {
    const listener = (request: unknown, acknowledge?: Acknowledge) => {
      const reply = typeof acknowledge === "function" ? acknowledge : () => {};
      // Each costs queries: who sends more than we get done is not somebody to queue for.
      if (++waiting > MAX_WAITING_REQUESTS) return cutOff(socket);
      turn = turn.then(async () => {
        waiting -= 1;
        if (socket.disconnected) return;
        try {
          if (self.isLimited && !self.crowd.spend(socket.data.actor.id))
            throw new Problem("rate-limited", "Your sockets ask for too much: wait a moment");
          const answer = await handle((request ?? {}) as Record<string, unknown>);
          reply(answer());
        } catch (error) {
          if (problemCode(error) === null) self.logger.error(`${event} failed`, error);
          reply({ problem: documentOf(error) });
        }
      });
    };
    (socket as unknown as { on(name: string, listener: unknown): void }).on(event, listener);
  };
}

function listen(self: Service & Notifier, socket: ClientSocket): void {
  const on = answering(self, socket);

  on("subscribe", async ({ stream, cursor }) => {
    const name = parseStream(stream, "stream");
    const from = cursor === undefined ? null : parseCursor(cursor, "cursor");
    if (socket.rooms.has(name)) throw new Problem("conflict", "The socket has this stream already");
    const { places, leftOut } = await self.streams.join(socket, new Map([[name, from]]));
    if (leftOut > 0) throw tooManyStreams();
    if (!places.has(name)) throw missing("stream", name);
    return () => ({ stream: name, ...self.streams.positions(socket, places)[name] });
  });

  on("unsubscribe", async ({ stream }) => {
    const name = parseStream(stream, "stream");
    await self.streams.leave(socket, name);
    return () => ({ stream: name });
  });

  on("authenticate", async ({ token }) => {
    const { actor, expiresAt } = await self.identify(String(token));
    mustBeOpen(self.revocations, actor);
    if (actor.id !== socket.data.actor.id)
      throw new Problem("invalid-token", "The token is another user's: connect anew");
    // At once: a session that ends from here on finds its socket.
    socket.data.actor = actor;
    socket.data.expiresAt = expiresAt;
    await self.streams.renewed(socket);
    const expires_at = expiresAt === null ? null : new Date(expiresAt).toISOString();
    return () => ({ expires_at });
  });
}

/**
 * Lets a socket in: who it is, what it asks for, and whether its user has room for one more.
 * @throws Problem unauthenticated, invalid-token, validation-failed, too-many-streams, rate-limited; one of PASSING
 */
async function admit(self: Service & Notifier, socket: ClientSocket, config: Config): Promise<void> {
  const handshake = parseHandshake(socket.handshake.auth);
  const { actor, expiresAt } = await self.identify(handshake.token);
  mustBeOpen(self.revocations, actor);
  const open = self.crowd.open(actor.id);
  if (self.isLimited && open >= config.SOCKETS_PER_USER)
    throw new Problem("rate-limited", `You have ${open} sockets open: close one of them first`);
  // It comes back by itself, later each time.
  if (self.isLimited && !self.crowd.spend(actor.id)) throw new Problem("overloaded");
  // There is nobody to tell that nobody is there.
  if (!self.crowd.enter(actor.id, socket.conn)) throw new Problem("service-unavailable");
  socket.data = { actor, expiresAt, handshake, follows: handshake.streams === null, leftOut: 0 };
}

/** @throws Problem invalid-token for a session that ended; service-unavailable while that is not known here */
function mustBeOpen(revocations: RevocationFeed, actor: Actor): void {
  const ended = revocations.has(actor.session);
  if (ended === null) throw new Problem("service-unavailable");
  if (ended) throw new Problem("invalid-token", "The session was ended: log in again");
}

/** Tells a client why it may not go on, and to stay away until somebody has logged in (docs/reference.md, How a connection ends). */
function dismiss(socket: ClientSocket, frame: "session_ended" | "token_expired", why: string): void {
  socket.emit(frame, problemDocument("invalid-token", why));
  socket.disconnect(true);
}

/** Ends sockets whose token has run out, and those that don't read. */
function sweep(io: PushServer): void {
  const sockets = [...io.of("/").sockets.values()];
  slowSockets(sockets, ({ data }) => data.actor.id).forEach(cutOff);
  for (const socket of sockets) {
    const { expiresAt } = socket.data;
    if (expiresAt !== null && Date.now() >= expiresAt)
      dismiss(socket, "token_expired", "The token has expired");
  }
}

/** Sockets: who connects, which streams they get, and every event of those once and in order. */
export default (config: Config): ServiceSchema => {
  const tokens = createTokens(config);

  return service<NotifierContract, Notifier>({
    name: "notifier",
    mixins: [database(config)],
    actions: {},

    events: {
      ...on(committed, function (this: Service & Notifier, { events }) {
        this.streams.offer(events);
        this.link?.share(events);
      }),
      ...on(revoked, function (this: Service & Notifier, { sessions }) {
        this.revocations.end(sessions);
      }),
      ...on(sessionsEnded, function (this: Service & Notifier) {
        this.revocations.hinted();
      }),
    },

    created() {
      this.io = new Server({
        path: "/ws",
        serveClient: false,
        // Compression holds 200 kB of memory for each connection.
        perMessageDeflate: false,
        httpCompression: false,
        maxHttpBufferSize: MAX_HANDSHAKE_BYTES,
        connectTimeout: CONNECT_WITHIN_MS,
      });
      this.door = new Door(config);
      this.streams = new Streams(this.db, this.io, this.logger);
      this.revocations = closeRevoked(this.db, this.io, config.ACCESS_TOKEN_TTL);
      this.link = null;
      this.crowd = new Crowd();
      this.isLimited = config.RATE_LIMIT === "on";
      this.identify = identifier(this.broker, tokens);

      this.io.use((socket, next) => {
        admit(this, socket, config).then(
          () => next(),
          (error: unknown) => {
            const code = problemCode(error);
            if (code === null) this.logger.error("a socket could not be let in", error);
            if (code !== null && PASSING.includes(code)) {
              letGo(socket);
              next();
            } else next(Object.assign(new Error("refused"), { data: documentOf(error) }));
          },
        );
      });
      this.io.on("connection", (socket) => {
        this.door.known(socket.conn);
        const { handshake } = socket.data;
        // They may be long, and are needed no more.
        socket.data.handshake = null;
        socket.handshake.auth = {};
        // Without its socket a connection is of no use to anybody.
        socket.on("disconnect", () => letGo(socket));
        // The session may have ended while the socket was on its way in, when there was nothing to close yet.
        const ended = this.revocations.has(socket.data.actor.session);
        if (ended === null) return letGo(socket);
        if (ended) return dismiss(socket, "session_ended", "The session was ended: log in again");
        listen(this, socket);
        const charge = (count: number) => this.crowd.charge(socket.data.actor.id, count);
        this.streams.connect(socket, handshake as Handshake, charge).catch((error: unknown) => {
          this.logger.warn(`socket ${socket.id} could not join its streams: it connects again`, error);
          letGo(socket);
        });
      });
    },

    async started() {
      if (config.REDIS_URL !== "")
        this.link = linkNotifiers(config.REDIS_URL, config.NAMESPACE, this.io, this.logger, (events) =>
          this.streams.offer(events),
        );
      const gateway = this.broker.getLocalService("api-gateway") as { server?: HttpServer } | undefined;
      if (gateway?.server !== undefined) {
        this.door.open(this.io, gateway.server);
        this.upgraded = trackUpgrades(gateway.server);
      } else {
        this.ownServer = createSocketServer();
        this.door.open(this.io, this.ownServer);
        this.upgraded = trackUpgrades(this.ownServer);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        this.ownServer.once("error", reject).listen(config.NOTIFIER_PORT, config.HOST, resolve);
        await promise;
      }

      // Before the first socket knocks.
      await this.revocations.start(this.logger);

      let beating = false;
      let failing = false;
      this.beat = setInterval(() => {
        sweep(this.io);
        this.crowd.prune();
        if (beating) return;
        beating = true;
        this.streams
          .beat()
          .then(() => (failing = false))
          .catch((error: Error) => {
            if (!failing) this.logger.warn(`the log can't be read now: ${error.message}`);
            failing = true;
          })
          .finally(() => (beating = false));
      }, BEAT_MS);
    },

    async stopped() {
      this.door.shut();
      // No new ones; those that are here go by and by, and hear of events meanwhile.
      const closed = new Promise<void>((resolve) =>
        this.ownServer ? this.ownServer.close(() => resolve()) : resolve(),
      );
      if (this.io.engine !== undefined) await endSockets(this.io, this.upgraded, config.DRAIN_SECONDS * 1000);
      clearInterval(this.beat);
      this.revocations.stop();
      this.link?.close();
      this.ownServer?.closeAllConnections();
      await closed;
    },
  });
};
