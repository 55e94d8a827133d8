/** Refusals of HTTP requests to the sockets' path, as problems (RFC 9457). */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { Problem, problemCode, problemDocument, type ProblemCode, PROBLEMS } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { SECURITY_HEADERS } from "../../core/security-headers.ts";

/** Milliseconds that a refused client has to read the answer. */
const LINGER_MS = 1000;

/** The problems for the statuses with which engine.io itself refuses. */
const CODES: Record<number, ProblemCode> = { 403: "forbidden", 413: "payload-too-large" };

const requestIds = new WeakMap<IncomingMessage, string>();

/** The id of a request, the same each time: the client's own if it is safe to log, else a new one. */
export function requestIdOf(request: IncomingMessage): string {
  const own = request.headers["x-request-id"];
  const isSafe = typeof own === "string" && /^[A-Za-z0-9._-]{1,128}$/.test(own);
  const id = requestIds.get(request) ?? (isSafe ? own : newId());
  requestIds.set(request, id);
  return id;
}

function refusal(problem: Problem, requestId: string): { headers: Record<string, string>; body: string } {
  const code = problemCode(problem) ?? "internal-error";
  const body = JSON.stringify(
    problemDocument(code, problem.message, { instance: "/ws", request_id: requestId }),
  );
  return {
    body,
    headers: {
      ...problem.data.headers,
      "Content-Type": "application/problem+json; charset=utf-8",
      "Content-Length": String(Buffer.byteLength(body)),
      "Cache-Control": "no-store",
    },
  };
}

/** Refuses on a bare connection, for which Node made no response: a failed upgrade, or bytes that are not HTTP. */
export function refuseConnection(connection: Duplex, problem: Problem, requestId: string): void {
  const { headers, body } = refusal(problem, requestId);
  const { status, title } = PROBLEMS[problemCode(problem) ?? "internal-error"];
  const lines = {
    ...SECURITY_HEADERS,
    ...headers,
    "X-Request-ID": requestId,
    "X-Process-Time": "0.00ms",
    Connection: "close",
  };
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}`);
  connection.end([`HTTP/1.1 ${status} ${title}`, ...head, "", body].join("\r\n"));
  // A client that does not close its side would hold the connection open.
  const timer = setTimeout(() => connection.destroy(), LINGER_MS);
  connection.once("close", () => clearTimeout(timer));
}

export function refuseRequest(request: IncomingMessage, response: ServerResponse, problem: Problem): void {
  const { headers, body } = refusal(problem, String(response.getHeader("X-Request-ID")));
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.writeHead(problem.code).end(body);
  // The rest of a refused body is not read.
  if (!request.complete) response.once("finish", () => request.destroy());
}

/** Gives a response the headers that all responses of the server have, and engine.io's bare refusals a problem as body. */
export function setCommonHeaders(request: IncomingMessage, response: ServerResponse): void {
  const began = performance.now();
  const requestId = requestIdOf(request);
  response.setHeader("X-Request-ID", requestId);
  const writeHead = response.writeHead.bind(response) as (status: number, headers?: object) => ServerResponse;
  response.writeHead = ((status: number, headers: object = {}) => {
    response.setHeader("X-Process-Time", `${(performance.now() - began).toFixed(2)}ms`);
    if (status < 400 || response.hasHeader("Content-Type")) return writeHead(status, headers);
    const refused = refusal(new Problem(CODES[status] ?? "malformed-request"), requestId);
    const end = response.end.bind(response) as (body: string) => ServerResponse;
    response.end = () => end(refused.body);
    return writeHead(status, refused.headers);
  }) as ServerResponse["writeHead"];
}
