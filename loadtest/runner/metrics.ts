/** Metrics as k6 has them: four types, each with a sink of its own, and submetrics of the samples that have certain tags. */

export type Tags = Record<string, string>;
export type MetricType = "counter" | "gauge" | "rate" | "trend";
/** What the numbers are: milliseconds, bytes, or plain. */
export type Contents = "time" | "data" | "default";

/** Numbers that are kept, to answer percentiles exactly. */
export class Samples {
  #values = new Float64Array(1024);
  #count = 0;
  #isSorted = true;
  #sum = 0;

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(this.#count * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = value;
    this.#sum += value;
    this.#isSorted = false;
  }

  get count(): number {
    return this.#count;
  }

  get average(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** @param share 0.95 for the 95th percentile; between two numbers it is interpolated, as k6 does. */
  percentile(share: number): number {
    if (this.#count === 0) return 0;
    if (!this.#isSorted) this.#values.subarray(0, this.#count).sort();
    this.#isSorted = true;
    const place = (this.#count - 1) * share;
    const below = this.#values[Math.floor(place)] as number;
    const above = this.#values[Math.ceil(place)] as number;
    return below + (above - below) * (place - Math.floor(place));
  }
}

/** The samples of one metric, or of one of its submetrics. */
export class Sink {
  readonly type: MetricType;
  /** Of a trend. */
  readonly samples = new Samples();
  /** Of a counter. */
  sum = 0;
  /** Of a gauge: the last value. */
  last = 0;
  min = Infinity;
  max = -Infinity;
  /** Of a rate: samples that were true, and all. */
  passes = 0;
  total = 0;

  constructor(type: MetricType) {
    this.type = type;
  }

  add(value: number): void {
    this.total += 1;
    if (this.type === "trend") return this.samples.add(value);
    this.sum += value;
    this.last = value;
    if (value !== 0) this.passes += 1;
    this.min = Math.min(this.min, value);
    this.max = Math.max(this.max, value);
  }

  /**
   * A number that a threshold or the summary asks for.
   * @param stat `p(95)`, `avg`, `min`, `med`, `max`, `count`, `rate`, `value`
   * @param seconds the length of the test, for the `rate` of a counter
   * @returns undefined where this type has no such number
   */
  stat(stat: string, seconds: number): number | undefined {
    switch (this.type) {
      case "counter":
        return stat === "count" ? this.sum : stat === "rate" ? this.sum / seconds : undefined;
      case "gauge":
        return stat === "value" ? this.last : undefined;
      case "rate":
        if (stat !== "rate") return undefined;
        return this.total === 0 ? 0 : this.passes / this.total;
      case "trend":
        return this.#ofTrend(stat);
    }
  }

  #ofTrend(stat: string): number | undefined {
    const share = /^p\((\d+(?:\.\d+)?)\)$/.exec(stat)?.[1];
    if (share !== undefined) return this.samples.percentile(Number(share) / 100);
    if (stat === "avg") return this.samples.average;
    if (stat === "count") return this.samples.count;
    const shares: Record<string, number> = { min: 0, med: 0.5, max: 1 };
    return stat in shares ? this.samples.percentile(shares[stat] as number) : undefined;
  }
}

export interface Submetric {
  /** As k6 shows it: `{ scenario:mixed }`. */
  label: string;
  tags: Tags;
  sink: Sink;
}

export class Metric {
  readonly name: string;
  readonly contents: Contents;
  readonly sink: Sink;
  readonly submetrics: Submetric[] = [];

  constructor(name: string, type: MetricType, contents: Contents) {
    this.name = name;
    this.contents = contents;
    this.sink = new Sink(type);
  }

  add(value: number, tags: Tags): void {
    this.sink.add(value);
    for (const submetric of this.submetrics)
      if (Object.entries(submetric.tags).every(([name, wanted]) => tags[name] === wanted))
        submetric.sink.add(value);
  }

  /** The sink of the samples with these tags, from now on. */
  submetric(tags: Tags): Sink {
    const label = `{ ${Object.entries(tags)
      .map(([name, value]) => `${name}:${value}`)
      .join(", ")} }`;
    const known = this.submetrics.find((one) => one.label === label);
    if (known !== undefined) return known.sink;
    const sink = new Sink(this.sink.type);
    this.submetrics.push({ label, tags, sink });
    return sink;
  }
}

/** Those of k6 that the runner fills. */
const BUILT_IN: [name: string, type: MetricType, contents: Contents][] = [
  ["checks", "rate", "default"],
  ["http_req_duration", "trend", "time"],
  ["http_req_blocked", "trend", "time"],
  ["http_req_waiting", "trend", "time"],
  ["http_req_receiving", "trend", "time"],
  ["http_req_failed", "rate", "default"],
  ["http_reqs", "counter", "default"],
  ["iteration_duration", "trend", "time"],
  ["iterations", "counter", "default"],
  ["dropped_iterations", "counter", "default"],
  ["vus_max", "gauge", "default"],
  ["data_received", "counter", "data"],
  ["data_sent", "counter", "data"],
  ["ws_connecting", "trend", "time"],
  ["ws_session_duration", "trend", "time"],
  ["ws_sessions", "counter", "default"],
  ["ws_msgs_received", "counter", "default"],
  ["ws_msgs_sent", "counter", "default"],
];

/** All metrics of a test. */
export class Metrics {
  readonly #metrics = new Map<string, Metric>();
  /** Names of the checks, in the order of their first sample. */
  readonly checks = new Map<string, { passes: number; fails: number }>();

  constructor() {
    for (const [name, type, contents] of BUILT_IN) this.#metrics.set(name, new Metric(name, type, contents));
  }

  /** Declares a metric; each virtual user declares the same ones. @throws Error for another type under one name */
  declare(name: string, type: MetricType, contents: Contents): Metric {
    const known = this.#metrics.get(name);
    if (known !== undefined && known.sink.type !== type)
      throw new Error(`the metric ${name} is a ${known.sink.type} already`);
    const metric = known ?? new Metric(name, type, contents);
    this.#metrics.set(name, metric);
    return metric;
  }

  /** @throws Error when no metric has that name */
  get(name: string): Metric {
    const metric = this.#metrics.get(name);
    if (metric === undefined) throw new Error(`there is no metric ${name}`);
    return metric;
  }

  add(name: string, value: number, tags: Tags): void {
    this.get(name).add(value, tags);
  }

  check(name: string, passed: boolean, tags: Tags): void {
    const counted = this.checks.get(name) ?? { passes: 0, fails: 0 };
    counted[passed ? "passes" : "fails"] += 1;
    this.checks.set(name, counted);
    this.add("checks", Number(passed), { ...tags, check: name });
  }

  /** Custom ones last. */
  list(): Metric[] {
    return [...this.#metrics.values()];
  }

  isBuiltIn(name: string): boolean {
    return BUILT_IN.some(([known]) => known === name);
  }
}
