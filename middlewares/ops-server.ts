/** The server at OPS_PORT, for probes and for Prometheus. It answers while the node starts, and until it has stopped. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { ServiceBroker } from "moleculer";
import onHeaders from "on-headers";
import type { Config } from "../core/config.ts";
import { Problem, problemCode, problemDocument, PROBLEMS } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import { SECURITY_HEADERS } from "../core/security-headers.ts";
import { OpsPages, pathOf } from "../mixins/ops-pages.ts";

/** Connections at once: those of a few probes and scrapers. */
const MAX_CONNECTIONS = 100;
/** Milliseconds in which a request must arrive. */
const REQUEST_WITHIN_MS = 5000;

/** @returns how to stop it @throws EADDRINUSE and others when the port can't be taken */
export async function openOpsServer(broker: ServiceBroker, config: Config): Promise<() => Promise<void>> {
  const pages = new OpsPages(broker, config, "GET, HEAD", false);

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = performance.now();
    const requestId = newId();
    const headers = { ...SECURITY_HEADERS, "X-Request-ID": requestId, "Cache-Control": "no-store" };
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    onHeaders(response, () => {
      response.setHeader("X-Process-Time", `${(performance.now() - started).toFixed(2)}ms`);
    });
    const send = (status: number, head: object, body: string): void => {
      response.writeHead(status, { ...head, "Content-Length": Buffer.byteLength(body) });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    try {
      const page = await pages.answer(request);
      if (page === null) throw new Problem("not-found", "There is nothing at this path");
      send(page.status, { "Content-Type": page.type }, page.body);
    } catch (error) {
      const code = problemCode(error) ?? "internal-error";
      if (code === "internal-error") broker.logger.error(`request ${requestId} to OPS_PORT failed`, error);
      const problem = error instanceof Problem ? error : new Problem(code);
      const about = { instance: pathOf(request), request_id: requestId };
      const document = problemDocument(code, problem.message, about);
      const type = { "Content-Type": "application/problem+json; charset=utf-8" };
      send(PROBLEMS[code].status, { ...problem.data.headers, ...type }, JSON.stringify(document));
    }
  }

  const server = createServer(
    { headersTimeout: REQUEST_WITHIN_MS, requestTimeout: REQUEST_WITHIN_MS },
    (request, response) => void answer(request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(config.OPS_PORT, config.HOST);
  await once(server, "listening");
  return async () => {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  };
}
