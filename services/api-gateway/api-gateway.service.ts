import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import helmet from "helmet";
import type { Context, Service, ServiceBroker, ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { Problem, retryLater } from "../../core/errors.ts";
import { type Actor, type Meta, on, service } from "../../core/kit.ts";
import { SECURITY_HEADERS } from "../../core/security-headers.ts";
import { originOf } from "../../core/origin.ts";
import { createTokens } from "../../core/tokens.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import { RevocationFeed } from "../../mixins/revocations.ts";
import { auth, revoked } from "../auth/auth.contract.ts";
import { sessionsEnded, users } from "../users/users.contract.ts";
import { answerError, answerOf } from "./answer.ts";
import type { ApiGatewayContract } from "./api-gateway.contract.ts";
import { Authenticator } from "./authenticate.ts";
import { clientAddress } from "../../core/client-address.ts";
import { mustHaveNoKey, readIdempotencyKey, readIfMatch } from "./conditions.ts";
import { allowOriginsOf, boundPreflight } from "./cors.ts";
import type { Connections } from "./connections.ts";
import { createCursors, scopeOf } from "./cursors.ts";
import { createHttpServer } from "./http-server.ts";
import { servePage } from "./pages.ts";
import { createRateLimits, type Limit, measureLimits, type Named, type RateLimits } from "./rate-limit.ts";
import {
  bindParams,
  identify,
  mustBeAcceptable,
  parseQuery,
  readBody,
  traceparentOf,
  withRefreshCookie,
} from "./request.ts";
import { type Route, ROUTES } from "./routes.ts";
import { type Alias, type Request, run, web } from "./web.ts";

/** Logins that one gateway has under way: about as many as can be hashed before their clients give up. */
const LOGINS_AT_ONCE = 50;

interface Gateway extends WithDatabase {
  server: Server;
  connections: Connections;
  loginsUnderWay: number;
  /** Takes the request from a budget. @throws Problem rate-limited */
  admit(
    request: Request,
    response: ServerResponse,
    limit: Limit | undefined,
    actor: Actor | null,
  ): Promise<void>;
  enterLogin(response: ServerResponse): void;
  revocations: RevocationFeed;
  authenticator: Authenticator;
  limits: RateLimits;
  aliases: Alias[];
  allowedMethods(url: string): string[];
  begin(request: Request, response: ServerResponse): Promise<void>;
}

/** What a login names, and whose it is: the failures of both names of an account count together. */
async function namedBy(broker: ServiceBroker, params: Record<string, unknown>): Promise<Named | null> {
  const typed = params.login ?? params.email;
  if (typeof typed !== "string" || typed.length > 254) return null;
  const name = typed.trim();
  return { name, account: (await users.call(broker, "account_of", { login: name })) ?? name };
}

/** A user name that none can be: too short. */
const NOBODY = "-";

/** The same login at nobody's account: it fails like any other, as late, and looks at no password. */
const atNobody = (params: Record<string, unknown>): Record<string, unknown> => ({
  ...params,
  ...(params.login === undefined ? { email: NOBODY } : { login: NOBODY }),
});

/** `GET /path` of moleculer-web to the line of our table. */
const keyOf = (method: string, path: string): string => `${method} ${path.replace(/^\//, "")}`;

/** Ends of paths that are resources of their own, where another path has an id: `/tasks/bulk`. */
const WORDS = new Set(
  ROUTES.map(({ path }) => path.split("/").at(-1) as string).filter((end) => !end.startsWith(":")),
);

const nothingThere = (): Problem => new Problem("not-found", "No resource has this path");

/** Paths with a budget of their own, which takes knowing who may call them. */
const LIMITED = new Set(
  ROUTES.filter(({ limit }) => limit !== undefined).map(({ method, path }) => `${method} ${path}`),
);
const hasOwnLimit = ({ method, url = "/" }: IncomingMessage): boolean =>
  LIMITED.has(
    `${method} ${(url.split("?")[0] as string).replace(/^\/api\/v1(?=\/)/, "").replace(/(?<=.)\/$/, "")}`,
  );

/**
 * Whether a request was taken from the budget of its route. Before the router found that, the path's text said so, which
 * the router takes in more spellings than one: `/AUTH/login`.
 */
const isCounted = ({ counted }: Request, limit: Limit | undefined): boolean =>
  limit === undefined ? counted !== undefined : counted === limit;

/** Requests that a body does in one: a bulk costs what its operations cost. */
function requestsIn(action: string, { operations }: Record<string, unknown>): number {
  return action === "tasks.bulk" && Array.isArray(operations) ? Math.max(1, operations.length) : 1;
}

const methodNotAllowed = ({ method }: Request, allowed: string[]): Problem =>
  new Problem("method-not-allowed", `This resource does not support ${method}, only ${allowed.join(", ")}`, {
    headers: { Allow: [...allowed, "OPTIONS"].join(", ") },
  });

/** HTTP in front of the services: docs/reference.md, Conventions. Holds nothing and decides nothing but who is asking. */
export default (config: Config): ServiceSchema => {
  const tokens = createTokens(config);
  const cursors = createCursors(config.JWT_SECRET);
  /** Where examples reach this server. */
  const origin = config.production ? config.APP_URL : originOf(config.HOST, config.PORT);
  const secure = helmet();
  const allowOrigins = allowOriginsOf(config.CORS_ORIGINS);

  const routes = new Map<string, Route>();
  const aliases: Record<string, string> = {};
  for (const route of ROUTES) {
    // HEAD is GET without the body (RFC 9110 §9.3.2).
    for (const method of route.method === "GET" ? ["GET", "HEAD"] : [route.method]) {
      routes.set(keyOf(method, route.path), route);
      aliases[`${method} ${route.path}`] = route.action;
    }
  }

  /** Before the action: who asks, then what they send. */
  async function onBeforeCall(
    this: Service & Gateway,
    ctx: Context<unknown, Meta>,
    _route: unknown,
    request: Request,
    response: ServerResponse,
    { action, method, path: pattern }: Alias & { action: string },
  ) {
    const { params: path } = request.$params;
    request.pathParams = path;
    const traceparent = traceparentOf(request);
    if (traceparent !== null) ctx.meta.traceparent = traceparent;
    const route = routes.get(keyOf(method, pattern)) as Route;
    const { limit } = route;
    if (Object.values(path).some((value) => WORDS.has(value))) {
      const allowed = this.allowedMethods(request.originalUrl ?? "/");
      if (!allowed.includes(method)) throw methodNotAllowed(request, allowed);
    }
    if (route.status !== 204) mustBeAcceptable(request);
    const mustCount = () => !isCounted(request, limit);
    if (request.$action.auth !== "public") {
      await this.revocations.current();
      const asks = this.authenticator.mustAsk(request);
      if (asks && mustCount()) await this.admit(request, response, limit, null);
      try {
        ctx.meta.actor = await this.authenticator.authenticate(request);
      } catch (error) {
        // A caller who can't say who they are is counted by address.
        if (mustCount()) await this.admit(request, response, limit, null);
        throw error;
      }
      if (asks || mustCount()) await this.admit(request, response, limit, ctx.meta.actor);
    } else if (mustCount()) await this.admit(request, response, limit, null);
    const query = parseQuery(request.originalUrl ?? "/");
    // Sessions remember where they were opened; nobody else needs to know.
    if (action.startsWith("auth."))
      ctx.meta.client = {
        address: clientAddress(request, config),
        userAgent: request.headers["user-agent"] ?? null,
      };
    if (route.keyless !== undefined) mustHaveNoKey(request, route.keyless);
    const isRead = request.method === "GET" || request.method === "HEAD";
    const body = isRead ? undefined : await readBody(request, response);
    // A slot is for a login that can begin: a body that is still on its way holds none.
    if (action === "auth.login") this.enterLogin(response);
    let params = bindParams(request, { body, query, path });
    const more = requestsIn(action, params) - 1;
    if (more > 0) await this.limits.admit(request, response, limit, ctx.meta.actor, more);
    if (route.mails !== undefined && params[route.mails] !== undefined)
      await this.limits.admit(request, response, "auth", ctx.meta.actor);
    if (route.list === true) {
      request.page = {
        scope: scopeOf(ctx.meta.actor?.id ?? "", `${pattern} ${Object.values(path).join(" ")}`, query),
        query: query as Record<string, string>,
      };
      if (typeof params.cursor === "string" && params.cursor !== "")
        params.cursor = cursors.open(params.cursor, request.page.scope);
    }
    const required = config.REQUIRE_IF_MATCH && !isRead && request.method !== "POST";
    ctx.meta.conditions = {
      ifMatch: route.versioned === true && !isRead ? readIfMatch(request, required) : null,
      key: route.idempotent === true ? readIdempotencyKey(request, action, params, ctx.meta.actor) : null,
    };
    if (limit === "login") {
      const { actor } = ctx.meta;
      const named = actor ? { name: null, account: actor.id } : await namedBy(this.broker, params);
      if (named !== null) {
        request.loginAttempt = await this.limits.beginLogin(request, response, named);
        if (request.loginAttempt.hopeless) params = atNobody(params);
      }
    }
    request.$params = (
      action === "auth.refresh" ? withRefreshCookie(params, request, config.CORS_ORIGINS) : params
    ) as Request["$params"];
  }

  async function onAfterCall(
    this: Service & Gateway,
    ctx: Context<unknown, Meta>,
    _route: unknown,
    request: Request & { $alias: Alias },
    response: ServerResponse,
    answer: unknown,
  ) {
    const route = routes.get(keyOf(request.$alias.method, request.$alias.path)) as Route;
    await request.loginAttempt?.succeeded();
    const body = answerOf(ctx, route, request, response, answer, cursors);
    // A write has happened, and says so.
    if (body !== null && route.method === "GET")
      this.connections.mustHaveRoom(request, request.client ?? "", body.length);
    return body;
  }

  async function onError(
    this: Service & Gateway,
    request: Request,
    response: ServerResponse,
    error: unknown,
  ) {
    let problem = error;
    // What failed before it was known who may call costs the address.
    if (request.counted === undefined)
      await this.admit(request, response, undefined, null).catch((refusal: unknown) => (problem = refusal));
    answerError(this.logger, request, response, problem);
  }

  const shared = {
    aliases,
    mappingPolicy: "restrict",
    // Params stay apart as body, query and path until bindParams.
    mergeParams: false,
    // The body is read after the caller is known.
    bodyParsers: false,
    logging: false,
    onBeforeCall,
    onAfterCall,
    onError,
  };

  return service<ApiGatewayContract, Gateway>({
    name: "api-gateway",
    // Of its actions only the one that serves a request: the others would list and change routes for anybody.
    mixins: [{ ...web, actions: { rest: web.actions.rest } } as Partial<ServiceSchema>, database(config)],
    // What runs in the same process is up before the port opens; what runs elsewhere may come and go.
    dependencies: config.SERVICES.filter((name) => name !== "api-gateway"),
    settings: {
      ip: config.HOST,
      port: config.PORT,
      routes: [
        { path: "/api/v1", name: "versioned", ...shared },
        { path: "/", name: "root", ...shared },
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
      ...on(revoked, function (this: Gateway, { sessions }) {
        this.revocations.end(sessions);
      }),
      ...on(sessionsEnded, function (this: Gateway) {
        this.revocations.hinted();
      }),
    },
    created() {
      this.loginsUnderWay = 0;
      this.limits = createRateLimits(config, this.logger, measureLimits(this.broker.metrics));
      this.revocations = new RevocationFeed(this.db, config.ACCESS_TOKEN_TTL);
      this.authenticator = new Authenticator(tokens, this.revocations.sessions, async (token) => {
        const { actor, expires_at } = await auth.call(this.broker, "verify_token", { token });
        return { actor, expiresAt: expires_at };
      });
    },
    started() {
      void this.revocations.start(this.logger);
    },
    stopped() {
      this.revocations.stop();
      this.limits.close();
    },
    methods: {
      createServer(this: Service & Gateway & { httpHandler: RequestListener }) {
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

      /** Answers what is under way and takes nothing more. Before the broker stops: it waits for every request that comes. */
      drain(this: Gateway) {
        return this.connections.drain();
      },

      async admit(this: Gateway, request: Request, response: ServerResponse, limit, actor) {
        request.counted = limit ?? "default";
        await this.limits.admit(request, response, limit, actor);
      },

      /**
       * Before a request costs anything, it costs its budget: that of the user who is known here, else of the address.
       * @throws Problem rate-limited; overloaded
       */
      async begin(this: Gateway, request: Request, response: ServerResponse) {
        const actor = await this.authenticator.known(request);
        request.client = actor === null ? `address:${clientAddress(request, config)}` : `user:${actor.id}`;
        if (!hasOwnLimit(request)) await this.admit(request, response, undefined, actor);
        this.connections.mustHaveRoom(request, request.client);
      },

      /**
       * A storm of logins is turned away at the door, before it costs a query.
       * @throws Problem overloaded; malformed-request for a client that hung up meanwhile: its slot would be nobody's to free
       */
      enterLogin(this: Gateway, response: ServerResponse) {
        if (response.closed) throw new Problem("malformed-request", "The client closed the connection");
        if (this.loginsUnderWay >= LOGINS_AT_ONCE)
          throw retryLater("overloaded", "Too many logins at once", 5);
        this.loginsUnderWay += 1;
        response.once("close", () => (this.loginsUnderWay -= 1));
      },

      /** Every request begins here, also one that no route matches. */
      async httpHandler(this: Service & Gateway, request: Request, response: ServerResponse) {
        try {
          request.requestId = identify(request, response);
          await run(secure, request, response);
          // The absolute form names the server too (RFC 9112 §3.2.2).
          request.url = request.url?.replace(/^https?:\/\/[^/?#]*/i, "") || "/";
          const isOptions = request.method === "OPTIONS";
          if (isOptions) boundPreflight(request);
          if (!isOptions) await run(allowOrigins, request, response);
          await this.begin(request, response);
          if (request.httpVersion === "1.1" && request.headers.host === undefined)
            throw new Problem("malformed-request", "An HTTP/1.1 request needs a Host header");
          if (!["100-continue", undefined].includes(request.headers.expect?.toLowerCase()))
            throw new Problem("expectation-failed");
          if (await servePage(request, response, origin)) return;
          // moleculer-web would run a write and then answer it 304.
          if (request.method === "GET" || request.method === "HEAD")
            request.ifNoneMatch = request.headers["if-none-match"];
          delete request.headers["if-none-match"];
          if (isOptions && request.headers["access-control-request-method"] === undefined) {
            const allowed = this.allowedMethods(request.url ?? "/");
            if (allowed.length === 0) throw nothingThere();
            response.writeHead(204, { Allow: [...allowed, "OPTIONS"].join(", ") }).end();
            return;
          }
          // Ends a preflight request itself, and then never comes back.
          if (isOptions) await run(allowOrigins, request, response);
        } catch (error) {
          await onError.call(this, request, response, error);
          return;
        }
        await web.methods.httpHandler?.call(this, request, response);
      },

      /** The query is read once it is known who asks. */
      parseQueryString({ url = "/" }: Request) {
        return { query: {}, url: url.split("?")[0] };
      },

      /** No route: 405 where the path is right and the method is not, else 404. */
      send404(this: Service & Gateway, request: Request, response: ServerResponse) {
        const allowed = this.allowedMethods(request.originalUrl ?? request.url ?? "/");
        const problem = allowed.length === 0 ? nothingThere() : methodNotAllowed(request, allowed);
        return onError.call(this, request, response, problem);
      },

      allowedMethods(this: Gateway, url: string) {
        const path = url.split("?")[0] as string;
        const matching = this.aliases.filter((alias) => alias.match(path) !== false);
        // What is a resource of its own is no id: `/tasks/bulk`.
        const own = matching.filter((alias) => !alias.path.includes(":"));
        return [...new Set((own.length > 0 ? own : matching).map(({ method }) => method))];
      },

      /** Errors go to onError, which also logs: moleculer-web would log each a second time. */
      errorHandler(this: Service & Gateway, request: Request, response: ServerResponse, error: unknown) {
        return onError.call(this, request, response, error);
      },
    },
  });
};
