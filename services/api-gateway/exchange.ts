/** What the steps of a request work with: the gateway's parts, and what they found out so far. */
import type { ServerResponse } from "node:http";
import type { Context, ServiceBroker } from "moleculer";
import type { Config } from "../../core/config.ts";
import type { Actor, Meta } from "../../core/kit.ts";
import type { OpsPages } from "../../mixins/ops-pages.ts";
import type { RevocationFeed } from "../../mixins/revocations.ts";
import type { Authenticator } from "./authenticate.ts";
import type { Connections } from "./connections.ts";
import type { RequestMetrics } from "./gateway-metrics.ts";
import type { EventStreams } from "./open-event-streams.ts";
import type { LoginSlots } from "./login-attempts.ts";
import type { Middleware, Request } from "./moleculer-web.ts";
import type { BudgetName, RateLimits } from "./rate-limit.ts";
import type { Route } from "./routes.ts";
import type { CursorSigner } from "./signed-cursors.ts";
import type { WaitingCalls } from "./waiting-calls.ts";

/** The gateway as its steps see it. */
export interface Gateway {
  broker: ServiceBroker;
  config: Config;
  connections: Connections;
  limits: RateLimits;
  revocations: RevocationFeed;
  authenticator: Authenticator;
  cursors: CursorSigner;
  loginSlots: LoginSlots;
  waitingCalls: WaitingCalls;
  eventStreams: EventStreams;
  /** `/live`, `/ready`, `/health`, `/metrics`. */
  ops: OpsPages;
  requestMetrics: RequestMetrics;
  /** Sets the CORS headers, and ends preflight requests. */
  allowOrigins: Middleware;
  /** The URL of this server in the pages' examples. */
  origin: string;
  /** Methods of the routes at a path. */
  allowedMethods(url: string): string[];
}

/** A request whose route is known. */
export interface Exchange {
  readonly ctx: Context<unknown, Meta>;
  readonly request: Request;
  readonly response: ServerResponse;
  readonly route: Route;
  /** GET or HEAD. */
  readonly isRead: boolean;
  /** The params that the path gives. */
  readonly path: Record<string, string>;
  query: Record<string, string | string[]>;
  body: unknown;
  /** The params of the action. */
  params: Record<string, unknown>;
}

/** Takes a request from a budget, and remembers which. @throws Problem rate-limited */
export async function countRequest(
  { limits }: Pick<Gateway, "limits">,
  request: Request,
  response: ServerResponse,
  budget: BudgetName,
  actor: Actor | null | undefined,
): Promise<void> {
  request.counted = budget;
  await limits.admit(request, response, budget, actor);
}

/** Whether a request has cost this budget; a stricter one stands for `default`. */
export const isCounted = ({ counted }: Request, budget: BudgetName): boolean =>
  budget === "default" ? counted !== undefined : counted === budget;
