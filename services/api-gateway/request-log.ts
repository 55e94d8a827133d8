/** What the gateway says of each request: one line in the log, and the first span of its trace. */
import type { ServerResponse } from "node:http";
import type { Service } from "moleculer";
import { OwnFields } from "../../core/redact.ts";
import { SECURITY_HEADERS } from "../../core/security-headers.ts";
import { endScope, openScope, placeOf, runIn, traceparentOf } from "../../core/trace.ts";
import type { Request } from "./gateway-request.ts";
import { requestIdOf } from "./request.ts";

/** Probes come every few seconds, and say nothing new. */
const PROBES = /^\/(?:api\/v1\/)?(?:live|ready|health|metrics)\/?(?:\?|$)/;

/** The server failed, was probed, is busy or lacks a part, or did what it was asked. Of many that are shed each line costs time. */
function levelOf(status: number, { url = "/", isShed }: Request): "error" | "warn" | "info" | "debug" {
  if (status === 500) return "error";
  if (isShed === true || PROBES.test(url)) return "debug";
  return status > 500 ? "warn" : "info";
}

/**
 * Runs `work` in the scope of a request, and logs the request when its response has ended, or its client has gone. Every
 * response, also a problem's, has the request's id and the security headers.
 */
export function observe<Result>(
  { broker, name, logger }: Service,
  request: Request,
  response: ServerResponse,
  work: () => Result,
): Result {
  const { method = "" } = request;
  request.arrivedAt = performance.now();
  request.requestId = requestIdOf(request);
  request.head = { ...SECURITY_HEADERS, "X-Request-ID": request.requestId };
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
    const route = request.route?.path;
    scope.span?.set({
      "http.request.method": method,
      "http.response.status_code": status,
      ...(route !== undefined && { "http.route": route }),
      "taskwire.request_id": scope.requestId,
    });
    if (route !== undefined) scope.span?.rename(`${method} ${route}`);
    endScope(scope, status < 500 ? undefined : new Error());
    runIn(scope, () =>
      logger[levelOf(status, request)](
        new OwnFields({
          user_id: request.userId,
          method,
          route,
          status: headersSent ? status : undefined,
          ms: Math.round((performance.now() - request.arrivedAt) * 100) / 100,
          aborted: writableFinished ? undefined : true,
        }),
        "request",
      ),
    );
  });
  return runIn(scope, work);
}
