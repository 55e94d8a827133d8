import { once } from "node:events";
import type { Server } from "node:http";
import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { broadcast, on, service } from "../../core/kit.ts";
import { listen } from "../../core/listen.ts";
import { metricsOf } from "../../core/metrics.ts";
import { originOf } from "../../core/origin.ts";
import { SECURITY_HEADERS } from "../../core/security-headers.ts";
import { createTokens } from "../../core/tokens.ts";
import { cacheOf, database, type WithDatabase } from "../../mixins/database.ts";
import { healthOf } from "../../mixins/health.ts";
import { OpsPages } from "../../mixins/ops-pages.ts";
import { RevocationFeed } from "../../mixins/revocations.ts";
import { revoked } from "../auth/auth.contract.ts";
import { waitsOver } from "../notifier/notifier.contract.ts";
import { sessionsEnded } from "../users/users.contract.ts";
import { Answers } from "./answers.ts";
import type { ApiGatewayContract } from "./api-gateway.contract.ts";
import { Authenticator } from "./authenticate.ts";
import { corsFor } from "./cors.ts";
import { EventStreams } from "./open-event-streams.ts";
import type { Gateway } from "./exchange.ts";
import { measureGateway } from "./gateway-metrics.ts";
import { createHttpServer } from "./http-server.ts";
import type { Request } from "./gateway-request.ts";
import { LoadShedder } from "./load-shedder.ts";
import { LoginSlots } from "./login-attempts.ts";
import { createRateLimits, measureLimits } from "./rate-limit.ts";
import { ROUTED_SERVICES, verifyPersonalToken } from "./routes.ts";
import { serve } from "./serve.ts";
import { createCursorSigner } from "./signed-cursors.ts";
import { WaitingCalls } from "./waiting-calls.ts";

/** The service: the gateway of the steps, and what it listens with. */
type GatewayService = Gateway & WithDatabase & { server: Server };

/** HTTP in front of the services (docs/reference.md, Conventions). It keeps no state of its own. */
export default (config: Config): ServiceSchema =>
  service<ApiGatewayContract, GatewayService>({
    name: "api-gateway",
    mixins: [database(config)],
    // Services of this process start before the port opens; those of other processes may come and go.
    dependencies: config.SERVICES.filter((name) => name !== "api-gateway"),
    actions: {},
    events: {
      ...on(revoked, function (this: GatewayService, { sessions }) {
        this.revocations.markEnded(sessions);
      }),
      ...on(sessionsEnded, function (this: GatewayService) {
        this.revocations.refresh();
      }),
    },
    created() {
      this.config = config;
      const isBehind = config.production || config.TRUST_PROXY > 0;
      this.origin = isBehind ? config.APP_URL : originOf(config.HOST, config.PORT);
      this.cors = corsFor(config.CORS_ORIGINS);
      this.limits = createRateLimits(config, this.logger, measureLimits(metricsOf(this.broker)));
      this.ops = new OpsPages(this.broker, config, "GET, HEAD, OPTIONS", true);
      for (const name of ROUTED_SERVICES) healthOf(this.broker, config).needs.add(name);
      this.loginSlots = new LoginSlots();
      this.eventStreams = new EventStreams(config.RATE_LIMIT === "on");
      this.waitingCalls = new WaitingCalls((calls) => broadcast(this.broker, waitsOver, { calls }));
      this.answers = new Answers(cacheOf(this.broker));
      this.shedder = new LoadShedder(this.logger);
      this.broker.localBus.on("$node.disconnected", () => this.shedder.nodeDied());
      this.requestMetrics = measureGateway(metricsOf(this.broker), this);
      this.cursors = createCursorSigner(config.JWT_SECRET, config.JWT_SECRET_PREVIOUS);
      this.revocations = new RevocationFeed(this.db, config.ACCESS_TOKEN_TTL);
      this.authenticator = new Authenticator(createTokens(config), this.revocations, (token) =>
        verifyPersonalToken(this.broker, token),
      );
      const unbounded = config.RATE_LIMIT === "off" || config.TRUST_PROXY > 0;
      const { server, connections } = createHttpServer(
        (request, response) => void serve(this, request as Request, response),
        {
          securityHeaders: SECURITY_HEADERS,
          keepAliveSeconds: config.KEEP_ALIVE_SECONDS,
          ipv6Prefix: config.IPV6_PREFIX,
          connectionsPerAddress: unbounded ? 0 : config.CONNECTIONS_PER_ADDRESS,
        },
      );
      // Such as a connection that finds no file descriptor: the server goes on.
      server.on("error", (error) => this.logger.error("the HTTP server failed", error));
      this.server = server;
      this.connections = connections;
    },
    async started() {
      void this.revocations.start(this.logger);
      await listen(this.server, config.PORT, config.HOST);
    },
    async stopped() {
      this.revocations.stop();
      this.limits.close();
      if (!this.server.listening) return;
      this.server.close();
      await once(this.server, "close");
    },
    methods: {
      /** Responds to the requests under way and takes no more. Before the broker stops, which waits for all of them. */
      drain(this: GatewayService) {
        this.waitingCalls.close();
        return this.connections.drain();
      },
    },
  });
