import type { RequestListener, Server, ServerResponse } from "node:http";
import type { Context, Service, ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { broadcast, type Meta, on, service } from "../../core/kit.ts";
import { metricsOf } from "../../core/metrics.ts";
import { originOf } from "../../core/origin.ts";
import { SECURITY_HEADERS } from "../../core/security-headers.ts";
import { createTokens } from "../../core/tokens.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import { healthOf } from "../../mixins/health.ts";
import { OpsPages } from "../../mixins/ops-pages.ts";
import { RevocationFeed } from "../../mixins/revocations.ts";
import { revoked } from "../auth/auth.contract.ts";
import { waitsOver } from "../notifier/notifier.contract.ts";
import { sessionsEnded } from "../users/users.contract.ts";
import { ALIASES, methodsAt, notRouted } from "./aliases.ts";
import type { ApiGatewayContract } from "./api-gateway.contract.ts";
import { arrive } from "./arrival-steps.ts";
import { Authenticator } from "./authenticate.ts";
import { allowOriginsOf } from "./cors.ts";
import { EventStreams } from "./open-event-streams.ts";
import { countRequest, type Gateway } from "./exchange.ts";
import { measureGateway } from "./gateway-metrics.ts";
import { createHttpServer } from "./http-server.ts";
import { LoginSlots } from "./login-attempts.ts";
import { type Alias, type Request, web } from "./moleculer-web.ts";
import { createRateLimits, measureLimits } from "./rate-limit.ts";
import { observe } from "./request-log.ts";
import { sendProblem } from "./response.ts";
import { afterAction, beforeAction } from "./route-steps.ts";
import { ROUTED_SERVICES, verifyPersonalToken } from "./routes.ts";
import { createCursorSigner } from "./signed-cursors.ts";
import { WaitingCalls } from "./waiting-calls.ts";

/** The service: the gateway of the steps, and what moleculer-web adds. */
type GatewayService = Gateway & WithDatabase & { server: Server; aliases: Alias[] };

/** HTTP in front of the services (docs/reference.md, Conventions). It keeps no state of its own. */
export default (config: Config): ServiceSchema => {
  /** Sends a problem. A request that failed before it was counted costs its address the default budget. */
  async function onError(
    this: Service & GatewayService,
    request: Request,
    response: ServerResponse,
    error: unknown,
  ) {
    let problem = error;
    if (request.counted === undefined)
      await countRequest(this, request, response, "default", null).catch(
        (refusal: unknown) => (problem = refusal),
      );
    sendProblem(this.logger, request, response, problem);
  }

  const route = {
    aliases: { ...ALIASES },
    mappingPolicy: "restrict",
    // Body, query and path stay apart until the params are bound.
    mergeParams: false,
    // The body is read after the caller is known.
    bodyParsers: false,
    logging: false,
    onBeforeCall(
      this: GatewayService,
      ctx: Context<unknown, Meta>,
      _route: unknown,
      request: Request,
      response: ServerResponse,
    ) {
      return beforeAction(this, ctx, request, response);
    },
    onAfterCall(
      this: GatewayService,
      ctx: Context<unknown, Meta>,
      _route: unknown,
      request: Request,
      response: ServerResponse,
      result: unknown,
    ) {
      return afterAction(this, ctx, request, response, result);
    },
    onError,
  };

  return service<ApiGatewayContract, GatewayService>({
    name: "api-gateway",
    // Of its actions only the one that serves a request: the others would list and change routes for anybody.
    mixins: [{ ...web, actions: { rest: web.actions.rest } } as Partial<ServiceSchema>, database(config)],
    // Services of this process start before the port opens; those of other processes may come and go.
    dependencies: config.SERVICES.filter((name) => name !== "api-gateway"),
    settings: {
      ip: config.HOST,
      port: config.PORT,
      routes: [
        { path: "/api/v1", name: "versioned", ...route },
        { path: "/", name: "root", ...route },
      ],
      logRouteRegistration: null,
      logRequest: null,
      logResponse: null,
      rootCallOptions: (options: { requestID?: string }, request: Request) => {
        options.requestID = request.requestId;
      },
      onError,
    },
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
      this.origin = config.production ? config.APP_URL : originOf(config.HOST, config.PORT);
      this.allowOrigins = allowOriginsOf(config.CORS_ORIGINS);
      this.limits = createRateLimits(config, this.logger, measureLimits(metricsOf(this.broker)));
      this.ops = new OpsPages(this.broker, config, "GET, HEAD, OPTIONS", true);
      for (const name of ROUTED_SERVICES) healthOf(this.broker, config).needs.add(name);
      this.loginSlots = new LoginSlots();
      this.eventStreams = new EventStreams(config.RATE_LIMIT === "on");
      this.waitingCalls = new WaitingCalls((calls) => broadcast(this.broker, waitsOver, { calls }));
      this.requestMetrics = measureGateway(metricsOf(this.broker), this);
      this.cursors = createCursorSigner(config.JWT_SECRET, config.JWT_SECRET_PREVIOUS);
      this.revocations = new RevocationFeed(this.db, config.ACCESS_TOKEN_TTL);
      this.authenticator = new Authenticator(createTokens(config), this.revocations, (token) =>
        verifyPersonalToken(this.broker, token),
      );
    },
    started() {
      void this.revocations.start(this.logger);
    },
    stopped() {
      this.revocations.stop();
      this.limits.close();
    },
    methods: {
      createServer(this: GatewayService & { httpHandler: RequestListener }) {
        const unbounded = config.RATE_LIMIT === "off" || config.TRUST_PROXY > 0;
        const { server, connections } = createHttpServer(this.httpHandler, {
          securityHeaders: SECURITY_HEADERS,
          keepAliveSeconds: config.KEEP_ALIVE_SECONDS,
          ipv6Prefix: config.IPV6_PREFIX,
          connectionsPerAddress: unbounded ? 0 : config.CONNECTIONS_PER_ADDRESS,
        });
        this.server = server;
        this.connections = connections;
      },

      /** Responds to the requests under way and takes no more. Before the broker stops, which waits for all of them. */
      drain(this: GatewayService) {
        this.waitingCalls.close();
        return this.connections.drain();
      },

      /** Every request begins here, also one that no route matches. */
      httpHandler(this: Service & GatewayService, request: Request, response: ServerResponse) {
        // First of all: every response, also a problem's, has the request's id and the time that it took.
        return observe(this, request, response, async () => {
          try {
            if (await arrive(this, request, response)) return;
          } catch (error) {
            await onError.call(this, request, response, error);
            return;
          }
          await web.methods.httpHandler?.call(this, request, response);
        });
      },

      /** A step reads the query once the caller is known. */
      parseQueryString({ url = "/" }: Request) {
        return { query: {}, url: url.split("?")[0] };
      },

      send404(this: Service & GatewayService, request: Request, response: ServerResponse) {
        const allowed = this.allowedMethods(request.originalUrl ?? request.url ?? "/");
        return onError.call(this, request, response, notRouted(request, allowed));
      },

      allowedMethods(this: GatewayService, url: string) {
        return methodsAt(this.aliases, url);
      },

      /** moleculer-web would log each error a second time. */
      errorHandler(
        this: Service & GatewayService,
        request: Request,
        response: ServerResponse,
        error: unknown,
      ) {
        return onError.call(this, request, response, error);
      },
    },
  });
};
