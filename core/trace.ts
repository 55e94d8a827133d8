/**
 * Where work belongs: a request, a job or a mail, with the place in its trace (W3C Trace Context). Each process keeps it in
 * AsyncLocalStorage, so that log lines and spans find it without a parameter. Over the broker it travels in `ctx.meta.trace`,
 * in a mail's job beside the mail.
 *
 * Spans are recorded where TRACE_URL is set (core/spans.ts) and the trace is sampled. Otherwise none is made, and the ids
 * are passed on.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage } from "node:http";
import { PROBLEMS, problemCode } from "./errors.ts";
import { randomPart } from "./random.ts";

/** Words and numbers about a span. Never what people wrote: no text, name or address, no value of a statement. */
export type Attributes = Record<string, string | number | boolean>;
export type SpanKind = "server" | "client" | "producer" | "consumer" | "internal";

/** A place in a trace: the span that work belongs to. */
export interface TracePlace {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** Whether the spans of the trace are recorded. */
  readonly sampled: boolean;
}

/** A span that is recorded. */
export interface Span {
  readonly place: TracePlace;
  set(attributes: Attributes): void;
  rename(name: string): void;
  /** @param error the kind of the failure; null for a success */
  end(error: string | null): void;
}

export interface Tracer {
  /** Begins a span. @param parent null for the first span of a trace, which decides whether the trace is sampled */
  start(
    name: string,
    kind: SpanKind,
    service: string,
    parent: TracePlace | null,
    attributes: Attributes,
  ): Span;
  /** Sends what is left, for two seconds at most. Never throws. */
  close(): Promise<void>;
}

export interface Scope {
  readonly requestId: string;
  /** The name of the service that does the work. */
  readonly service: string;
  readonly place: TracePlace;
  readonly tracer: Tracer | null;
  /** Null for work that is not recorded. */
  readonly span: Span | null;
}

/** Bytes of the ids of a trace and of a span. */
const PLACE_BYTES = 24;

const storage = new AsyncLocalStorage<Scope>();

/** The scope of the work that runs now; undefined outside of requests, jobs and mails. */
export const currentScope = (): Scope | undefined => storage.getStore();

/** Runs `work` in a scope. */
export const runIn = <Result>(scope: Scope, work: () => Result): Result => storage.run(scope, work);

/** Runs `work` outside of every scope: for what outlives the request that began it. */
export const outsideScope = <Result>(work: () => Result): Result => storage.exit(work);

const tracers = new WeakMap<object, Tracer>();

/** Has the work of a broker's services recorded. */
export const useTracer = (broker: object, tracer: Tracer): void => void tracers.set(broker, tracer);

/** A place as `traceparent` (W3C Trace Context §3.2). */
export const traceparentAt = ({ traceId, spanId, sampled }: TracePlace): string =>
  `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;

/** W3C Trace Context §3.2.2, and the same part of later versions; an id is not all zeros. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/;

/** The trace that a request belongs to; null without a valid `traceparent` (§4.3: an invalid one is ignored). */
export function traceparentOf({ headers }: Pick<IncomingMessage, "headers">): string | null {
  const { traceparent } = headers;
  if (typeof traceparent !== "string" || !TRACEPARENT.test(traceparent)) return null;
  return traceparent.startsWith("00-") && traceparent.length !== 55 ? null : traceparent.slice(0, 55);
}

/** `traceparent` as a place. @param text valid, as `traceparentOf` gives it; undefined or null gives null */
export function placeOf(text: string | null | undefined): TracePlace | null {
  if (text == null) return null;
  const [, traceId = "", spanId = "", flags = ""] = text.split("-");
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** Where something was asked for, as it travels in messages and in jobs. */
export interface Origin {
  request_id: string;
  /** The span, as `traceparent`. */
  trace: string;
}

/** Where the present work would be the origin of something; null outside of requests, jobs and mails. */
export function originHere(): Origin | null {
  const scope = storage.getStore();
  return scope === undefined ? null : { request_id: scope.requestId, trace: traceparentAt(scope.place) };
}

/** The origin of what begins in a scope of its own. @param id stands for the id of a request where there is no origin */
export const cameFrom = (
  origin: Origin | null | undefined,
  id: string,
): Pick<Beginning, "requestId" | "parent"> => ({
  requestId: origin?.request_id ?? id,
  parent: placeOf(origin?.trace),
});

function newPlace(): TracePlace {
  const digits = randomPart(PLACE_BYTES).toString("hex");
  return { traceId: digits.slice(0, 32), spanId: digits.slice(32), sampled: false };
}

/** What begins in a scope of its own. */
export interface Beginning {
  /** The service that does the work; its broker says whether spans are recorded. */
  service: { broker: object; name: string };
  /** Of the span: a route, an action, a job. */
  name: string;
  kind: SpanKind;
  requestId: string;
  /** Where the work was asked for; null begins a trace. */
  parent: TracePlace | null;
  attributes?: Attributes;
}

/** Opens a scope, which its caller ends (`endScope`). */
export function openScope(beginning: Beginning): Scope {
  const { service, name, kind, requestId, parent, attributes = {} } = beginning;
  const tracer = tracers.get(service.broker) ?? null;
  const scope = { requestId, service: service.name, tracer };
  if (tracer === null || parent?.sampled === false)
    return { ...scope, place: parent ?? newPlace(), span: null };
  const span = tracer.start(name, kind, service.name, parent, attributes);
  return { ...scope, place: span.place, span: span.place.sampled ? span : null };
}

/** The kind of a failure, for a span; null for a problem that the client made. */
function failureOf(error: unknown): string | null {
  const code = problemCode(error);
  if (code !== null) return PROBLEMS[code].status < 500 ? null : code;
  return (error as Error | undefined)?.name ?? "Error";
}

/** Ends a scope that `openScope` opened. */
export const endScope = ({ span }: Scope, error?: unknown): void =>
  span?.end(error === undefined ? null : failureOf(error));

const isPromise = (value: unknown): value is Promise<unknown> =>
  typeof (value as Promise<unknown> | null | undefined)?.then === "function";

/** Runs `work` in `scope`, and ends the scope when the work has ended. */
function runToEnd<Result>(scope: Scope, work: () => Result): Result {
  if (scope.span === null) return storage.run(scope, work);
  try {
    const result = storage.run(scope, work);
    if (!isPromise(result)) {
      endScope(scope);
      return result;
    }
    return result.then(
      (value) => {
        endScope(scope);
        return value;
      },
      (error: unknown) => {
        endScope(scope, error ?? new Error());
        throw error;
      },
    ) as Result;
  } catch (error) {
    endScope(scope, error ?? new Error());
    throw error;
  }
}

/** Runs `work` in a scope of its own, as one span. */
export const begin = <Result>(beginning: Beginning, work: () => Result): Result =>
  runToEnd(openScope(beginning), work);

/** Runs `work` as a span of the present scope. Outside of a scope that is recorded it only runs it. */
export function traced<Result>(
  name: string,
  kind: SpanKind,
  attributes: Attributes,
  work: () => Result,
): Result {
  const scope = storage.getStore();
  if (scope == null || scope.span === null || scope.tracer === null) return work();
  const span = scope.tracer.start(name, kind, scope.service, scope.place, attributes);
  return runToEnd({ ...scope, place: span.place, span }, work);
}

/** Adds attributes to the span of the present scope. */
export const describeSpan = (attributes: Attributes): void => storage.getStore()?.span?.set(attributes);
