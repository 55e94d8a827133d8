/** What the steps of a request work with: the gateway's parts, and what they found out so far. */
import type { ServerResponse } from "node:http";
import type { Context, ServiceBroker } from "moleculer";
import type { Config } from "../../core/config.ts";
import type { Actor, Auth, Meta } from "../../core/kit.ts";
import type { OpsPages } from "../../mixins/ops-pages.ts";
import type { RevocationFeed } from "../../mixins/revocations.ts";
import type { Answers } from "./answers.ts";
import type { Authenticator } from "./authenticate.ts";
import type { Connections } from "./connections.ts";
import type { Cors } from "./cors.ts";
import type { RequestMetrics } from "./gateway-metrics.ts";
import type { EventStreams } from "./open-event-streams.ts";
import type { Request } from "./gateway-request.ts";
import type { LoadShedder } from "./load-shedder.ts";
import type { LoginSlots } from "./login-attempts.ts";
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
  shedder: LoadShedder;
  loginSlots: LoginSlots;
  waitingCalls: WaitingCalls;
  eventStreams: EventStreams;
  answers: Answers;
  /** `/live`, `/ready`, `/health`, `/metrics`. */
  ops: OpsPages;
  requestMetrics: RequestMetrics;
  cors: Cors;
  /** The URL of this server in the pages' examples. */
  origin: string;
}

/** What a service says of an action. */
export interface ActionFacts {
  readonly auth: Auth;
  readonly visibility?: string;
  readonly retryPolicy?: { readonly enabled?: boolean };
}

/** A request whose route is known. */
export interface Exchange {
  readonly ctx: Context<unknown, Meta>;
  readonly request: Request;
  readonly response: ServerResponse;
  readonly route: Route;
  /** What stands before the path of the route: `/api/v1`, or nothing. */
  readonly mount: string;
  readonly action: ActionFacts;
  /** GET or HEAD. */
  readonly isRead: boolean;
  /** The params that the path gives. */
  readonly path: Readonly<Record<string, string>>;
  query: Record<string, string | string[]>;
  body: unknown;
  /** The params of the action. */
  params: Record<string, unknown>;
}

/** Takes a request from a budget, and remembers which. @throws Problem rate-limited */
export async function countRequest(
  { limits }: Pick<Gateway, "limits">,
  request: Request,
  budget: BudgetName,
  actor: Actor | null | undefined,
): Promise<void> {
  request.counted = budget;
  await limits.admit(request, budget, actor);
}

/** Whether a request has cost this budget; a stricter one stands for `default`. */
export const isCounted = ({ counted }: Request, budget: BudgetName): boolean =>
  budget === "default" ? counted !== undefined : counted === budget;
