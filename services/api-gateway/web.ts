/** What we use of moleculer-web and of Express middlewares, typed. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServiceSchema } from "moleculer";
import ApiGateway from "moleculer-web";
import type { Auth } from "../../core/kit.ts";
import type { Limit, LoginAttempt } from "./rate-limit.ts";

/** A request, with what moleculer-web and we put there. */
export interface Request extends IncomingMessage {
  parsedUrl?: string;
  originalUrl?: string;
  baseUrl: string;
  requestId: string;
  $params: { body?: unknown; query: object; params: Record<string, string> } & Record<string, unknown>;
  $action: { auth: Auth };
  /** The route that was found. */
  $alias?: Alias;
  /** Names of the params that the path gave. */
  pathParams?: Record<string, string>;
  /** Of a read that the client has answers to already; taken from moleculer-web, which judges writes by it too. */
  ifNoneMatch?: string;
  /** What a list's cursors hold good for, and the query that asked for it. */
  page?: { scope: string; query: Record<string, string> };
  loginAttempt?: LoginAttempt;
  /** The budget that it was taken from last. */
  counted?: Limit | "default";
  /** The user or the address that it counts for. */
  client?: string;
}

export interface Alias {
  method: string;
  path: string;
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

/** Runs a middleware, which may end the request and never come back. */
export const run = (
  middleware: Middleware,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> =>
  new Promise((resolve, reject) => {
    middleware(request, response, (error) => (error === undefined ? resolve() : reject(error)));
  });
