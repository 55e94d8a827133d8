import type { Middleware, ServiceBroker } from "moleculer";
import type { Meta } from "../core/kit.ts";
import { begin, placeOf } from "../core/trace.ts";

/** Runs each action in the scope of its request (core/trace.ts): its log lines say which one, and it is a span of its own. */
export const traceActions: Middleware = {
  name: "TraceActions",
  localAction(this: ServiceBroker, next, action) {
    const { name = "", visibility, service } = action;
    if (name.startsWith("$node.") || visibility === "private" || service === undefined) return next;
    const from = { broker: this, name: service.name };
    return function traceAction(ctx) {
      const { trace } = ctx.meta as Meta;
      const { requestID } = ctx;
      return begin(
        { service: from, name, kind: "server", requestId: requestID ?? ctx.id, parent: placeOf(trace) },
        () => next.call(this, ctx) as Promise<unknown>,
      );
    };
  },
};
