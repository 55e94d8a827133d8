/** What a node sends its spans and its errors to, on loopback: servers that read the real formats. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json, text } from "node:stream/consumers";

/** A span of Zipkin's API v2. */
export interface ZipkinSpan {
  traceId: string;
  id: string;
  parentId?: string;
  name: string;
  kind?: string;
  timestamp: number;
  duration: number;
  localEndpoint: { serviceName: string };
  tags: Record<string, string>;
}

interface Collector {
  /** `127.0.0.1:<port>`. */
  host: string;
  stop(): Promise<void>;
}

async function serve(
  take: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Collector> {
  const server = createServer((request, response) => {
    take(request, response).catch((error: unknown) => response.writeHead(400).end(String(error)));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

/** `POST /api/v2/spans`, as Zipkin has it. */
export async function startSpanCollector(): Promise<Collector & { spans: ZipkinSpan[] }> {
  const spans: ZipkinSpan[] = [];
  const collector = await serve(async (request, response) => {
    if (request.method !== "POST" || request.url !== "/api/v2/spans") throw new Error("not Zipkin's path");
    spans.push(...((await json(request)) as ZipkinSpan[]));
    response.writeHead(202).end();
  });
  return { ...collector, spans };
}

/** An event of Sentry's protocol. */
export interface SentryEvent {
  event_id: string;
  release: string;
  environment: string;
  tags: Record<string, string>;
  exception: { values: { type: string; value: string; stacktrace: { frames: { filename: string }[] } }[] };
}

/** `POST /api/<project>/envelope/`, as Sentry's ingest has it: lines of JSON, a header and a payload for each item. */
export async function startErrorCollector(): Promise<Collector & { events: SentryEvent[]; raw: string[] }> {
  const events: SentryEvent[] = [];
  const raw: string[] = [];
  const collector = await serve(async (request, response) => {
    const url = new URL(request.url ?? "", "http://collector");
    if (request.method !== "POST" || url.pathname !== "/api/7/envelope/")
      throw new Error("not Sentry's path");
    if (url.searchParams.get("sentry_key") !== "public") throw new Error("no key");
    const envelope = await text(request);
    raw.push(envelope);
    const [, ...items] = envelope.split("\n").filter((line) => line !== "");
    for (let at = 0; at < items.length; at += 2) {
      const { type } = JSON.parse(items[at] as string) as { type: string };
      if (type === "event") events.push(JSON.parse(items[at + 1] as string) as SentryEvent);
    }
    response.writeHead(200, { "Content-Type": "application/json" }).end("{}");
  });
  return { ...collector, events, raw };
}
