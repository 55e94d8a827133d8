/** `/live`, `/ready`, `/health` and `/metrics`: at the port for operators of each node, and at the gateway's own port. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { ServiceBroker } from "moleculer";
import type { Config } from "../core/config.ts";
import { Problem } from "../core/errors.ts";
import { METRICS_TYPE, metricsOf } from "../core/metrics.ts";
import { healthOf } from "./health.ts";

export interface OpsPage {
  status: 200 | 503;
  type: string;
  body: string;
}

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

/** @throws Problem unauthenticated, invalid-token */
function mustHaveToken(request: IncomingMessage, token: string): void {
  if (mayRead(request, token)) return;
  if (request.headers.authorization === undefined)
    throw new Problem("unauthenticated", "Send METRICS_TOKEN as `Authorization: Bearer <token>`", {
      headers: { "WWW-Authenticate": CHALLENGE },
    });
  throw new Problem("invalid-token", "This is not the METRICS_TOKEN of this node", {
    headers: { "WWW-Authenticate": `${CHALLENGE}, error="invalid_token"` },
  });
}

const json = (isGood: boolean, document: object): OpsPage => ({
  status: isGood ? 200 : 503,
  type: "application/json; charset=utf-8",
  body: JSON.stringify(document),
});

/** The path of a URL without its query and without a slash at the end. */
export function pathOf({ url = "/" }: IncomingMessage): string {
  const end = url.indexOf("?");
  const path = end === -1 ? url : url.slice(0, end);
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

type Page = (request: IncomingMessage) => OpsPage | Promise<OpsPage>;

export class OpsPages {
  readonly #pages: ReadonlyMap<string, Page>;
  readonly #allow: string;

  /**
   * @param allow the methods that the server of these pages supports, for `Allow`
   * @param isPublic whether anybody may reach the server: in production it has no metrics without METRICS_TOKEN then
   */
  constructor(broker: ServiceBroker, config: Config, allow: string, isPublic: boolean) {
    const health = healthOf(broker, config);
    this.#allow = allow;
    const pages = new Map<string, Page>([
      ["/live", () => json(true, { status: "live" })],
      [
        "/ready",
        async () => {
          const readiness = await health.ready();
          return json(readiness.status === "ready", readiness);
        },
      ],
      [
        "/health",
        async () => {
          const report = await health.report();
          return json(report.status !== "down", report);
        },
      ],
      [
        "/metrics",
        async (request) => {
          mustHaveToken(request, config.METRICS_TOKEN);
          return { status: 200, type: METRICS_TYPE, body: await metricsOf(broker).text() };
        },
      ],
    ]);
    if (isPublic && config.production && config.METRICS_TOKEN === "") pages.delete("/metrics");
    this.#pages = pages;
  }

  has(request: IncomingMessage): boolean {
    return this.#pages.has(pathOf(request));
  }

  /**
   * The page that a request asks for; null for none of these.
   * @throws Problem method-not-allowed; unauthenticated, invalid-token for metrics
   */
  async answer(request: IncomingMessage): Promise<OpsPage | null> {
    const page = this.#pages.get(pathOf(request));
    if (page === undefined) return null;
    if (request.method !== "GET" && request.method !== "HEAD")
      throw new Problem(
        "method-not-allowed",
        `This resource does not support ${request.method}, only GET, HEAD`,
        { headers: { Allow: this.#allow } },
      );
    return page(request);
  }
}
