// What the system measured of itself meanwhile (docs/metrics.md): read once after setup and once in teardown.
import http from "k6/http";
import { Gauge } from "k6/metrics";
import { METRICS_TOKEN, METRICS_URLS } from "./settings.js";

/** @typedef {{ buckets: [le: number, count: number][], hits: number, misses: number, bytes: number }} Reading */

const databaseP95 = new Gauge("database_p95", true);
const cacheHits = new Gauge("cache_hit_ratio");
const memoryGrowth = new Gauge("memory_growth_mb");

/**
 * The thresholds of what is read here; none where metrics are out of reach.
 * @returns {Record<string, string[]>}
 */
export const serverThresholds = () =>
  METRICS_URLS.length === 0 ? {} : { database_p95: ["value<5"], cache_hit_ratio: ["value>=0.9"] };

/** Sums over all nodes and labels. */
export async function readMetrics() {
  /** @type {Map<number, number>} */
  const buckets = new Map();
  const sums = { hits: 0, misses: 0, bytes: 0 };
  for (const url of METRICS_URLS) {
    /** @type {Record<string, string>} */
    const headers = METRICS_TOKEN === "" ? {} : { Authorization: `Bearer ${METRICS_TOKEN}` };
    const { status, body } = await http.asyncRequest("GET", url, null, {
      headers,
      tags: { name: "GET /metrics" },
    });
    if (status !== 200)
      throw new Error(`GET ${url}: ${status}. Set METRICS_URLS and METRICS_TOKEN, or METRICS_URLS=off`);
    for (const line of String(body).split("\n")) {
      const value = Number(line.slice(line.lastIndexOf(" ") + 1));
      const bound = /^taskwire_database_query_duration_seconds_bucket\{.*\ble="([^"]+)"/.exec(line);
      if (bound !== null) {
        const le = bound[1] === "+Inf" ? Infinity : Number(bound[1]);
        buckets.set(le, (buckets.get(le) ?? 0) + value);
      } else if (line.startsWith("taskwire_cache_hits_total")) sums.hits += value;
      else if (line.startsWith("taskwire_cache_misses_total")) sums.misses += value;
      else if (line.startsWith("process_resident_memory_bytes ")) sums.bytes += value;
    }
  }
  return { ...sums, buckets: [...buckets].sort(([a], [b]) => a - b) };
}

/**
 * The 95th percentile of a histogram, as Prometheus' histogram_quantile finds it: straight between two bounds.
 * @param {Reading["buckets"]} buckets counts up to each bound
 * @returns {number} seconds
 */
export function p95(buckets) {
  const all = (buckets[buckets.length - 1] ?? [0, 0])[1];
  let [lower, below] = [0, 0];
  for (const [le, count] of buckets) {
    if (count >= 0.95 * all)
      return le === Infinity
        ? lower
        : lower + ((le - lower) * (0.95 * all - below)) / Math.max(1, count - below);
    [lower, below] = [le, count];
  }
  return lower;
}

/**
 * Reads again, and notes what changed.
 * @param {Reading} before JSON, in which an infinite bound is null
 */
export async function judgeMetrics(before) {
  if (METRICS_URLS.length === 0) return;
  const after = await readMetrics();
  const earlier = before.buckets.map(([, count]) => count);
  databaseP95.add(1000 * p95(after.buckets.map(([le, count], at) => [le, count - (earlier[at] ?? 0)])));
  const [hits, misses] = [after.hits - before.hits, after.misses - before.misses];
  if (hits + misses > 0) cacheHits.add(hits / (hits + misses));
  memoryGrowth.add((after.bytes - before.bytes) / 1e6);
}
