/**
 * What a node counts and measures (docs/metrics.md). Each part of the code declares its own metrics by their full names;
 * all parts of one node share a `Metrics`, found by the broker.
 */
import type { ServiceBroker } from "moleculer";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** Bounds of requests, calls and jobs in seconds. The promises are at 20, 50, 200 and 500 ms. */
export const SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** A value for each combination of labels; null where nothing is known. */
export type Reading<Label extends string> = number | null | (readonly [Record<Label, string>, number])[];

export class Metrics {
  readonly #registry = new Registry();

  /** A counter, the same one for each part that declares it. */
  counter<Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Counter<Label> {
    const known = this.#registry.getSingleMetric(name) as Counter<Label> | undefined;
    return known ?? new Counter<Label>({ name, help, labelNames, registers: [this.#registry] });
  }

  /** A histogram, the same one for each part that declares it. @param buckets upper bounds, in the unit of the name */
  histogram<Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
    buckets: readonly number[] = SECONDS,
  ): Histogram<Label> {
    const known = this.#registry.getSingleMetric(name) as Histogram<Label> | undefined;
    const registers = [this.#registry];
    return known ?? new Histogram<Label>({ name, help, labelNames, buckets: [...buckets], registers });
  }

  /**
   * A gauge that is read at each scrape. Declared again it has the new reader: a service that starts again.
   * @param read must answer soon; a failure leaves the gauge without a value
   */
  gauge<Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    read: () => Reading<Label> | Promise<Reading<Label>>,
  ): void {
    this.#registry.removeSingleMetric(name);
    new Gauge<Label>({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      async collect() {
        const reading = await Promise.try(read).catch(() => null);
        this.reset();
        if (typeof reading === "number") this.set(reading);
        else for (const [labels, value] of reading ?? []) this.set(labels, value);
        // A gauge without labels would say 0 now.
        if (reading === null && labelNames.length === 0) this.remove();
      },
    });
  }

  /** All metrics of the node and its process as Prometheus reads them. */
  async text(): Promise<string> {
    return `${await this.#registry.metrics()}${await processRegistry().metrics()}`;
  }
}

/** The type of `text`. */
export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/**
 * A reading that costs too much for every scrape: each gets the last value, and begins a new reading when that is old.
 * @param everyMs milliseconds that a value counts as new
 */
export function readNowAndThen<Value>(everyMs: number, read: () => Promise<Value>): () => Value | null {
  let last: Value | null = null;
  let readAt = -Infinity;
  return () => {
    if (performance.now() - readAt < everyMs) return last;
    readAt = performance.now();
    read().then(
      (value) => (last = value),
      () => {
        last = null;
        readAt = -Infinity;
      },
    );
    return last;
  };
}

/** Milliseconds between two looks at the event loop: at 10 they were most of what an idle node did. */
const LAG_EVERY_MS = 50;

let ofProcess: Registry | undefined;

/** Memory, CPU and event loop of the process, which its nodes share. */
function processRegistry(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess, eventLoopMonitoringPrecision: LAG_EVERY_MS });
    // Gauges that are named like counters, which Prometheus' linter refuses.
    for (const what of ["resources", "handles", "requests"])
      for (const name of [`nodejs_active_${what}`, `nodejs_active_${what}_total`])
        ofProcess.removeSingleMetric(name);
  }
  return ofProcess;
}

const ofBrokers = new WeakMap<ServiceBroker, Metrics>();

/** The metrics of a node. */
export function metricsOf(broker: ServiceBroker): Metrics {
  const metrics = ofBrokers.get(broker) ?? new Metrics();
  ofBrokers.set(broker, metrics);
  return metrics;
}
