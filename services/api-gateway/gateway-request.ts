/** A request on its way through the gateway, and the head of its response. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Actor } from "../../core/kit.ts";
import type { BudgetName, LoginAttempt } from "./rate-limit.ts";
import type { Head } from "./response-head.ts";
import type { Found } from "./router.ts";
import type { Route } from "./routes.ts";

/** A request, with what the steps found out about it. */
export interface Request extends IncomingMessage {
  requestId: string;
  /** When the request arrived, by performance.now. */
  arrivedAt: number;
  /** The header fields of the response so far. */
  head: Head;
  /** Called with the status when the head is written. */
  onHead?: (status: number) => void;
  /** What lies at the path; null for nothing. */
  found?: Found | null;
  /** The line of the table for the path and the method. */
  route?: Route;
  /** The caller, as far as this gateway knew when the request arrived; null for a stranger. */
  known?: Actor | null;
  /** The request was refused because there are too many. */
  isShed?: boolean;
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

export type Middleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

const processTime = ({ arrivedAt }: Request): string => `${(performance.now() - arrivedAt).toFixed(2)}ms`;

/** Writes the head of the response: the status, what the steps put into `head`, and the time that it took. */
export function writeHead(request: Request, response: ServerResponse, status: number): void {
  request.head["X-Process-Time"] = processTime(request);
  request.onHead?.(status);
  response.writeHead(status, request.head);
}

/** Hands the head over to a middleware, which ends the response itself. */
export function handOver(request: Request, response: ServerResponse, status: number): void {
  request.head["X-Process-Time"] = processTime(request);
  request.onHead?.(status);
  for (const [name, value] of Object.entries(request.head)) response.setHeader(name, value);
}
