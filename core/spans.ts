/** Spans by OpenTelemetry, sent as Zipkin v2 JSON. Only nodes with TRACE_URL load this file. */
import { ROOT_CONTEXT, SpanKind as Kind, SpanStatusCode, trace, TraceFlags } from "@opentelemetry/api";
import { ZipkinExporter } from "@opentelemetry/exporter-zipkin";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { atMost } from "./at-most.ts";
import type { Config } from "./config.ts";
import type { SpanKind, TracePlace, Tracer } from "./trace.ts";

/** Spans that wait to be sent; further ones are dropped. */
const MAX_QUEUE = 2048;
const BATCH_SPANS = 512;
/** Milliseconds between two batches. */
const SEND_EVERY_MS = 1000;
/** Batches without an answer; while the collector is silent, further ones are dropped. */
const MAX_UNANSWERED = 2;
/** Milliseconds after which a batch counts as failed, and those that a stopping node gives to the last one. */
const [SEND_WITHIN_MS, CLOSE_MS] = [10_000, 2000];
/** Milliseconds between two log lines about a collector that is away. */
const QUIET_MS = 60_000;

const KINDS: Record<SpanKind, Kind> = {
  server: Kind.SERVER,
  client: Kind.CLIENT,
  producer: Kind.PRODUCER,
  consumer: Kind.CONSUMER,
  internal: Kind.INTERNAL,
};

const FAILED = 1;

/** OpenTelemetry's exporter has no timeout, so a silent collector would collect connections without a bound. */
function bounded(exporter: ZipkinExporter, onFailure: (error: Error) => void): SpanExporter {
  let unanswered = 0;
  return {
    export(spans, done) {
      const fail = (error = new Error("the collector does not answer")): void => {
        onFailure(error);
        // The queue has no use for the failure: it would only tell OpenTelemetry's global handler.
        done({ code: 0 });
      };
      if (unanswered >= MAX_UNANSWERED) return fail();
      unanswered += 1;
      exporter.export(spans, ({ code, error }) => {
        unanswered -= 1;
        if ((code as number) === FAILED) fail(error);
        else done({ code });
      });
    },
    shutdown: () => exporter.shutdown(),
  };
}

/**
 * A tracer that sends its spans to TRACE_URL. It never delays or fails the work: its queue is bounded, and what finds no
 * room is dropped.
 * @param warn says that spans are lost, at most once a minute
 */
export function openTracer(
  { TRACE_URL, TRACE_SAMPLE, NAMESPACE }: Config,
  warn: (message: string) => void,
): Tracer {
  let quietUntil = 0;
  const exporter = bounded(new ZipkinExporter({ url: TRACE_URL }), ({ message }) => {
    if (performance.now() < quietUntil) return;
    quietUntil = performance.now() + QUIET_MS;
    warn(`spans are not sent to TRACE_URL and are dropped: ${message}`);
  });
  const provider = new TracerProvider({
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(TRACE_SAMPLE) }),
    resource: resourceFromAttributes({ "service.namespace": NAMESPACE }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: MAX_QUEUE,
        maxExportBatchSize: BATCH_SPANS,
        scheduledDelayMillis: SEND_EVERY_MS,
        exportTimeoutMillis: SEND_WITHIN_MS,
      }),
    ],
  });
  const tracer = provider.getTracer("taskwire");

  const contextAt = ({ traceId, spanId, sampled }: TracePlace) =>
    trace.setSpanContext(ROOT_CONTEXT, {
      traceId,
      spanId,
      traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
      isRemote: true,
    });

  return {
    start(name, kind, service, parent, attributes) {
      const span = tracer.startSpan(
        name,
        // Zipkin shows the span under this service.
        { kind: KINDS[kind], attributes: { ...attributes, "service.name": service } },
        parent === null ? ROOT_CONTEXT : contextAt(parent),
      );
      const { traceId, spanId, traceFlags } = span.spanContext();
      return {
        place: { traceId, spanId, sampled: (traceFlags & TraceFlags.SAMPLED) !== 0 },
        rename: (better) => void span.updateName(better),
        set: (more) => void span.setAttributes(more),
        end(error) {
          if (error !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
          span.end();
        },
      };
    },
    close: () =>
      atMost(
        CLOSE_MS,
        provider.shutdown().catch(() => {}),
      ),
  };
}
