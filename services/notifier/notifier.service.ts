import type { Server as HttpServer } from "node:http";
import type { ServiceSchema } from "moleculer";
import { Server } from "socket.io";
import type { Config } from "../../core/config.ts";
import { on, service } from "../../core/kit.ts";
import { newId } from "../../core/ids.ts";
import { listen } from "../../core/listen.ts";
import { begin, cameFrom } from "../../core/trace.ts";
import { metricsOf } from "../../core/metrics.ts";
import { createTokens } from "../../core/tokens.ts";
import { database } from "../../mixins/database.ts";
import { revoked } from "../auth/auth.contract.ts";
import { sessionsEnded } from "../users/users.contract.ts";
import { refuseOrAdmit, serve } from "./admission.ts";
import { authenticate } from "./authenticate.ts";
import { startBeat } from "./beat.ts";
import { SocketEndpoint } from "./endpoint.ts";
import { Expiries } from "./expiries.ts";
import { PING_INTERVAL_MS, PING_TIMEOUT_MS } from "./heartbeat.ts";
import { HintListener } from "./hint-listener.ts";
import { MAX_HANDSHAKE_BYTES } from "./inbound-limits.ts";
import { notifierActions } from "./notifier.actions.ts";
import { measureNotifier } from "./notifier-metrics.ts";
import { type NotifierContract, waitsOver } from "./notifier.contract.ts";
import type { Notifier, NotifierState } from "./notifier.state.ts";
import { isSharer, useRedisAdapter } from "./redis-adapter.ts";
import { requestListener } from "./requests.ts";
import { endRevoked } from "./revocations.ts";
import { endSockets, trackUpgrades } from "./shutdown.ts";
import { createSocketServer } from "./socket-server.ts";
import { SocketLog } from "./socket-log.ts";
import type { PushServer } from "./sockets.ts";
import { Streams } from "./streams.ts";
import { UserLimits } from "./user-limits.ts";
import { Waits } from "./waits.ts";

/** Milliseconds that a connection has to send its handshake. */
const CONNECT_TIMEOUT_MS = 10_000;

const createIo = (): PushServer =>
  new Server({
    path: "/ws",
    serveClient: false,
    // Compression holds 200 kB of memory for each connection.
    perMessageDeflate: false,
    httpCompression: false,
    maxHttpBufferSize: MAX_HANDSHAKE_BYTES,
    connectTimeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    pingTimeout: PING_TIMEOUT_MS,
  });

/** Serves the sockets on the gateway's server; on a node without the gateway, on the node's own server. */
async function openEndpoint(self: Notifier, config: Config): Promise<void> {
  const gateway = self.broker.getLocalService("api-gateway") as { server?: HttpServer } | undefined;
  const server = gateway?.server ?? createSocketServer(config);
  // Streams have rooms of their own, and nobody sends to a socket by its id: socket.io's rooms stay empty.
  Object.assign(self.io.of("/").adapter, { addAll: () => {} });
  self.endpoint.attach(self.io, server);
  self.upgraded = trackUpgrades(server);
  if (gateway?.server !== undefined) return;
  self.ownServer = server;
  await listen(server, config.NOTIFIER_PORT, config.HOST);
}

/** Sockets: each gets every event of its streams once and in order. */
export default (config: Config): ServiceSchema =>
  service<NotifierContract, NotifierState>({
    name: "notifier",
    mixins: [database(config)],
    actions: notifierActions,

    events: {
      ...on(revoked, function (this: Notifier, { sessions }) {
        this.revocations.markEnded(sessions);
      }),
      ...on(sessionsEnded, function (this: Notifier) {
        this.revocations.refresh();
      }),
      ...on(waitsOver, function (this: Notifier, { calls }) {
        this.waits.end(calls);
      }),
    },

    methods: {
      /** Answers the calls that wait for an event: the broker stops only after all calls have ended. */
      drain(this: Notifier) {
        this.waits.close();
      },
    },

    created() {
      const tokens = createTokens(config);
      this.config = config;
      this.io = createIo();
      this.endpoint = new SocketEndpoint(config);
      this.metrics = measureNotifier(metricsOf(this.broker), {
        sockets: () => this.io.of("/").sockets.size,
        streams: () => this.streams.followed,
        tailsBehind: () => this.streams.behind,
        waitingRequests: () => this.waits.size,
      });
      this.socketLog = new SocketLog(this.logger);
      this.hints = new HintListener(this, (hint) => {
        this.streams.hear(hint);
        if (this.adapter !== null && isSharer(this.broker.nodeID, this.listeners, hint))
          this.adapter.share(hint);
      });
      this.streams = new Streams(this.db, this.logger, this.metrics);
      this.streams.onFollow = () => this.hints.listen();
      this.waits = new Waits(config.RATE_LIMIT === "on");
      this.revocations = endRevoked(this.db, this.io, this.waits, config.ACCESS_TOKEN_TTL);
      this.adapter = null;
      this.listeners = [];
      this.limits = new UserLimits();
      this.expiries = new Expiries();
      this.isLimited = config.RATE_LIMIT === "on";
      this.authenticate = (token) => authenticate(this.broker, tokens, token);
      this.onRequest = requestListener(this);
      this.io.use((socket, next) => refuseOrAdmit(this, socket, next));
      this.io.on("connection", (socket) => serve(this, socket));
    },

    async started() {
      const { REDIS_URL, NAMESPACE } = config;
      if (REDIS_URL !== "")
        this.adapter = useRedisAdapter(REDIS_URL, NAMESPACE, this.io, this.logger, (hint, origin) =>
          begin(
            { service: this, name: "receive shared events", kind: "consumer", ...cameFrom(origin, newId()) },
            () => this.streams.hear(hint),
          ),
        );
      await openEndpoint(this, config);
      await this.revocations.start(this.logger);
      this.stopBeat = startBeat(this);
    },

    async stopped() {
      this.endpoint.close();
      const { ownServer } = this;
      // New connections are refused, while open sockets get their events until they end.
      const closed = new Promise<void>((resolve) =>
        ownServer ? ownServer.close(() => resolve()) : resolve(),
      );
      if (this.io.engine !== undefined) await endSockets(this.io, this.upgraded, config.DRAIN_SECONDS * 1000);
      this.stopBeat?.();
      this.revocations.stop();
      this.adapter?.close();
      ownServer?.closeAllConnections();
      await closed;
    },
  });
