/** Reports of internal errors by Sentry's SDK. Only nodes with SENTRY_DSN load this file. */
import { createStackParser, createTransport, Scope } from "@sentry/core";
import { nodeStackLineParser, ServerRuntimeClient } from "@sentry/core/server";
import pkg from "../package.json" with { type: "json" };
import type { Config } from "./config.ts";
import type { OnError } from "./logger.ts";
import { type SafeError, safeError } from "./redact.ts";
import { currentScope } from "./trace.ts";

/** Reports under way at once; further ones are dropped. */
const MAX_UNDER_WAY = 16;
/** Milliseconds that a report may take, and those that a stopping node gives to the last ones. */
const [SEND_WITHIN_MS, CLOSE_MS] = [5000, 2000];

export interface ErrorReports {
  /** Reports an error. Never throws and never waits. */
  send: OnError;
  /** Sends what is left, for two seconds at most. */
  close(): Promise<void>;
}

/** A copy without anything that libraries attach to their errors. */
function copyOf({ type, message, stack, cause }: SafeError): Error {
  const copy = new Error(message, cause && { cause: copyOf(cause) });
  copy.name = type;
  copy.stack = stack;
  return copy;
}

/**
 * Sentry's client without its instrumentation: Taskwire says which errors to report, so nothing is patched, and a report has
 * what is put into it here alone: no body, header, address, user or breadcrumb.
 */
export function openErrorReports({ SENTRY_DSN, NODE_ENV, NODE_ID }: Config): ErrorReports {
  const client = new ServerRuntimeClient({
    dsn: SENTRY_DSN,
    release: `taskwire@${pkg.version}`,
    environment: NODE_ENV,
    serverName: NODE_ID,
    platform: "node",
    runtime: { name: "node", version: process.version },
    integrations: [],
    sendClientReports: false,
    stackParser: createStackParser(nodeStackLineParser()),
    transport: (options) =>
      createTransport({ ...options, bufferSize: MAX_UNDER_WAY }, async ({ body }) => {
        const response = await fetch(options.url, {
          method: "POST",
          headers: { "Content-Type": "application/x-sentry-envelope", ...options.headers },
          body: body as Uint8Array<ArrayBuffer>,
          signal: AbortSignal.timeout(SEND_WITHIN_MS),
        });
        // An unread body would hold its connection.
        await response.body?.cancel();
        return {
          statusCode: response.status,
          headers: {
            "x-sentry-rate-limits": response.headers.get("x-sentry-rate-limits"),
            "retry-after": response.headers.get("retry-after"),
          },
        };
      }),
  });
  client.init();

  return {
    send(error, { service, action }) {
      const scope = new Scope();
      const safe = safeError(error);
      const { requestId, place } = currentScope() ?? {};
      scope.setTags({
        service,
        ...(action !== undefined && { action }),
        ...(requestId !== undefined && { request_id: requestId }),
        ...(place !== undefined && { trace_id: place.traceId }),
        ...(safe.code !== undefined && { code: safe.code }),
      });
      if (place !== undefined)
        scope.setContext("trace", { trace_id: place.traceId, span_id: place.spanId, op: service });
      client.captureException(copyOf(safe), undefined, scope);
    },
    close: async () => void (await client.close(CLOSE_MS)),
  };
}
