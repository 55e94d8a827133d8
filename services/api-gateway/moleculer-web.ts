/** The parts of moleculer-web and of Express middlewares that the gateway uses, typed. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServiceSchema } from "moleculer";
import ApiGateway from "moleculer-web";
import type { Auth } from "../../core/kit.ts";
import type { BudgetName, LoginAttempt } from "./rate-limit.ts";

/** A request, with the properties that moleculer-web and the gateway add. */
export interface Request extends IncomingMessage {
  parsedUrl?: string;
  originalUrl?: string;
  baseUrl: string;
  requestId: string;
  $params: { body?: unknown; query: object; params: Record<string, string> } & Record<string, unknown>;
  $action: { auth: Auth; retryPolicy?: { enabled?: boolean } };
  /** The alias of the route that was found. */
  $alias?: Alias;
  /** The params that the path gives. */
  pathParams?: Record<string, string>;
  /** `If-None-Match` of a read; the header is kept from moleculer-web, which applies it to writes too. */
  ifNoneMatch?: string;
  /** The scope of a list's cursors, and the query that asked for the page. */
  page?: { scope: string; query: Record<string, string> };
  loginAttempt?: LoginAttempt;
  /** The budget that was last charged for the request. */
  counted?: BudgetName;
  /** The caller, once known; undefined for a request without a login. */
  userId?: string;
  /** The user or the address that the request counts for. */
  client?: string;
}

/** A route in the router of moleculer-web. */
export interface Alias {
  method: string;
  path: string;
  action?: string;
  match(url: string): false | object;
}

export type Middleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

export const web = ApiGateway as unknown as ServiceSchema & {
  actions: Record<string, object>;
  methods: Record<string, (this: unknown, ...args: unknown[]) => Promise<unknown>>;
};

/** Runs a middleware. It may end the request itself: then the promise never settles. */
export const run = (
  middleware: Middleware,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> =>
  new Promise((resolve, reject) => {
    middleware(request, response, (error) => (error === undefined ? resolve() : reject(error)));
  });
