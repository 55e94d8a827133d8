/** What the gateway says of each request: one line in the log, and the first span of its trace. */
import type { ServerResponse } from "node:http";
import type { Service } from "moleculer";
import { endScope, openScope, placeOf, runIn, traceparentOf } from "../../core/trace.ts";
import type { Request } from "./moleculer-web.ts";
import { identify } from "./request.ts";

/** Probes come every few seconds, and say nothing new. */
const PROBES = /^\/(?:api\/v1\/)?(?:live|ready|health|metrics)\/?(?:\?|$)/;

/** The server failed, was probed, is busy or lacks a part, or did what it was asked. */
function levelOf(status: number, url: string): "error" | "warn" | "info" | "debug" {
  if (status === 500) return "error";
  if (PROBES.test(url)) return "debug";
  return status > 500 ? "warn" : "info";
}

/** Runs `work` in the scope of a request, and logs the request when its response has ended, or its client has gone. */
export function observe<Result>(
  { broker, name, logger }: Service,
  request: Request,
  response: ServerResponse,
  work: () => Result,
): Result {
  const startedAt = performance.now();
  const { method = "", url = "/" } = request;
  request.requestId = identify(request, response);
  const scope = openScope({
    service: { broker, name },
    name: method,
    kind: "server",
    requestId: request.requestId,
    parent: placeOf(traceparentOf(request)),
  });
  response.once("close", () => {
    const { statusCode: status, headersSent, writableFinished } = response;
    // The pattern of the route: the path and the query may name people and what they look for.
    const route = request.$alias && `/${request.$alias.path.replace(/^\//, "")}`;
    scope.span?.set({
      "http.request.method": method,
      "http.response.status_code": status,
      ...(route !== undefined && { "http.route": route }),
      "taskwire.request_id": scope.requestId,
    });
    if (route !== undefined) scope.span?.rename(`${method} ${route}`);
    endScope(scope, status < 500 ? undefined : new Error());
    runIn(scope, () =>
      logger[levelOf(status, url)](
        {
          user_id: request.userId,
          method,
          route,
          status: headersSent ? status : undefined,
          ms: Math.round((performance.now() - startedAt) * 100) / 100,
          aborted: writableFinished ? undefined : true,
        },
        "request",
      ),
    );
  });
  return runIn(scope, work);
}
