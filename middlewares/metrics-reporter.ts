/** Prometheus metrics on OPS_PORT: Moleculer's own reporter, behind METRICS_TOKEN. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { MetricReporters } from "moleculer";
import onHeaders from "on-headers";
import type { Config } from "../core/config.ts";
import { Problem, problemDocument, PROBLEMS, type ProblemCode } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import { SECURITY_HEADERS } from "../core/security-headers.ts";

const PATH = "/metrics";
const CHALLENGE = 'Bearer realm="taskwire metrics"';

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/**
 * Whether a request has the token. Digests have one length, so the time of the comparison says nothing about the token.
 * @param expected METRICS_TOKEN; empty allows every request
 */
function mayRead({ headers }: IncomingMessage, expected: string): boolean {
  if (expected === "") return true;
  const [, token = ""] = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "") ?? [];
  return timingSafeEqual(digest(token), digest(expected));
}

/** Checks a request before the reporter answers it. @throws Problem not-found, method-not-allowed, unauthenticated, invalid-token */
function admit(request: IncomingMessage, path: string, token: string): void {
  if (path !== PATH) throw new Problem("not-found", "There is nothing at this path");
  if (request.method !== "GET" && request.method !== "HEAD")
    throw new Problem(
      "method-not-allowed",
      `This resource does not support ${request.method}, only GET, HEAD`,
      {
        headers: { Allow: "GET, HEAD" },
      },
    );
  if (mayRead(request, token)) return;
  if (request.headers.authorization === undefined)
    throw new Problem("unauthenticated", "Send METRICS_TOKEN as `Authorization: Bearer <token>`", {
      headers: { "WWW-Authenticate": CHALLENGE },
    });
  throw new Problem("invalid-token", "This is not the METRICS_TOKEN of this node", {
    headers: { "WWW-Authenticate": `${CHALLENGE}, error="invalid_token"` },
  });
}

export class MetricsReporter extends MetricReporters.Prometheus {
  readonly #token: string;

  constructor({ OPS_PORT, HOST, METRICS_TOKEN }: Pick<Config, "OPS_PORT" | "HOST" | "METRICS_TOKEN">) {
    super({ port: OPS_PORT, host: HOST, path: PATH });
    this.#token = METRICS_TOKEN;
  }

  /** Handles every request to OPS_PORT. */
  override handler(request: IncomingMessage, response: ServerResponse): void {
    const started = performance.now();
    const requestId = newId();
    const path = (request.url ?? "/").split("?")[0]?.replace(/(?<=.)\/$/, "") as string;
    const headers = { ...SECURITY_HEADERS, "X-Request-ID": requestId, "Cache-Control": "no-store" };
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    onHeaders(response, () => {
      response.setHeader("X-Process-Time", `${(performance.now() - started).toFixed(2)}ms`);
    });
    try {
      admit(request, path, this.#token);
    } catch (error) {
      const { type, message, data } = error as Problem;
      const code = type as ProblemCode;
      const document = problemDocument(code, message, { instance: path, request_id: requestId });
      response.writeHead(PROBLEMS[code].status, {
        ...data.headers,
        "Content-Type": "application/problem+json; charset=utf-8",
      });
      response.end(JSON.stringify(document));
      return;
    }
    // The reporter compares the whole URL.
    request.url = PATH;
    super.handler(request, response);
  }
}
