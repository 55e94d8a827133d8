/** The summary at the end of a test, in k6's layout. */
import { readable } from "./durations.ts";
import type { Metric, Metrics, Sink } from "./metrics.ts";
import type { Verdict } from "./thresholds.ts";

/** Columns up to the values, dots included. */
const WIDTH = 42;

const SECTIONS: [title: string, belongs: (name: string) => boolean][] = [
  ["HTTP", (name) => name.startsWith("http_")],
  [
    "EXECUTION",
    (name) => ["iteration_duration", "iterations", "dropped_iterations", "vus_max"].includes(name),
  ],
  ["NETWORK", (name) => name.startsWith("data_")],
  ["WEBSOCKET", (name) => name.startsWith("ws_")],
];

function bytes(count: number): string {
  if (count < 1000) return `${Math.round(count)} B`;
  const at = Math.min(3, Math.floor(Math.log10(count) / 3));
  return `${Number((count / 1000 ** at).toPrecision(3))} ${["B", "kB", "MB", "GB"][at]}`;
}

const plain = (value: number): string => String(Number(value.toFixed(6)));
const percent = (share: number): string => `${(share * 100).toFixed(2)}%`;

function show(value: number, contents: Metric["contents"]): string {
  return contents === "time" ? readable(value) : contents === "data" ? bytes(value) : plain(value);
}

function valuesOf(sink: Sink, contents: Metric["contents"], stats: string[], seconds: number): string {
  switch (sink.type) {
    case "trend":
      return stats.map((stat) => `${stat}=${show(sink.stat(stat, seconds) ?? 0, contents)}`).join(" ");
    case "rate":
      return `${percent(sink.stat("rate", seconds) ?? 0).padEnd(8)} ${sink.passes} out of ${sink.total}`;
    case "counter":
      return `${show(sink.sum, contents).padEnd(8)} ${show(sink.sum / seconds, contents)}/s`;
    case "gauge":
      return `${show(sink.last, contents).padEnd(8)} min=${show(sink.min, contents)} max=${show(sink.max, contents)}`;
  }
}

const line = (indent: number, name: string, values: string): string =>
  `${" ".repeat(indent)}${`${name}`.padEnd(WIDTH - indent, ".")}: ${values}`;

function linesOf(metric: Metric, stats: string[], seconds: number): string[] {
  const values = (sink: Sink): string => valuesOf(sink, metric.contents, stats, seconds);
  const submetrics = metric.submetrics.filter(({ sink }) => sink.total > 0);
  return [
    ...(metric.sink.total > 0 ? [line(4, metric.name, values(metric.sink))] : []),
    ...submetrics.map(({ label, sink }) => line(6, label, values(sink))),
  ];
}

function thresholdLines(verdicts: Verdict[], metrics: Metrics): string[] {
  const sources = [...new Set(verdicts.map(({ source }) => source))];
  return sources.flatMap((source) => [
    "",
    `    ${source}`,
    ...verdicts
      .filter((verdict) => verdict.source === source)
      .map(({ expression, stat, value, measured, passed }) => {
        const metric = metrics.get(source.replace(/\{.*$/, ""));
        const shown = metric.sink.type === "rate" ? percent(value) : show(value, metric.contents);
        return `    ${passed ? "✓" : "✗"} '${expression}' ${measured ? `${stat}=${shown}` : "no samples"}`;
      }),
  ]);
}

function checkLines(metrics: Metrics, seconds: number): string[] {
  if (metrics.checks.size === 0) return [];
  const { passes, total } = metrics.get("checks").sink;
  const share = (count: number): string => `${percent(count / total).padEnd(8)} ${count} out of ${total}`;
  return [
    line(4, "checks_total", `${String(total).padEnd(8)} ${plain(total / seconds)}/s`),
    line(4, "checks_succeeded", share(passes)),
    line(4, "checks_failed", share(total - passes)),
    "",
    ...[...metrics.checks].flatMap(([name, { passes, fails }]) =>
      fails === 0
        ? [`    ✓ ${name}`]
        : [
            `    ✗ ${name}`,
            `      ↳  ${Math.floor((100 * passes) / (passes + fails))}% — ✓ ${passes} / ✗ ${fails}`,
          ],
    ),
  ];
}

/**
 * @param stats of trends, such as `p(95)`
 * @param seconds the length of the test
 */
export function summaryOf(metrics: Metrics, verdicts: Verdict[], stats: string[], seconds: number): string {
  const sections = [["CUSTOM", (name: string) => !metrics.isBuiltIn(name)] as const, ...SECTIONS].flatMap(
    ([title, belongs]) => {
      const shown = metrics.list().filter(({ name }) => belongs(name));
      const lines = shown.flatMap((metric) => linesOf(metric, stats, seconds));
      return lines.length === 0 ? [] : ["", `    ${title}`, ...lines];
    },
  );
  const thresholds =
    verdicts.length === 0 ? [] : ["", "  █ THRESHOLDS", ...thresholdLines(verdicts, metrics), ""];
  return [...thresholds, "", "  █ TOTAL RESULTS", "", ...checkLines(metrics, seconds), ...sections, ""].join(
    "\n",
  );
}
