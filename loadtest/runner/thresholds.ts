/** Thresholds as k6 has them: `http_req_duration{scenario:mixed}` must keep `p(95)<200`. */
import type { Metrics, Sink, Tags } from "./metrics.ts";

const SOURCE = /^([\w]+)(?:\{([^}]*)\})?$/;
const EXPRESSION = /^\s*([a-z]+(?:\(\d+(?:\.\d+)?\))?)\s*(<=|>=|===|==|!=|<|>)\s*(-?\d+(?:\.\d+)?)\s*$/;

const COMPARE: Record<string, (left: number, right: number) => boolean> = {
  "<": (left, right) => left < right,
  "<=": (left, right) => left <= right,
  ">": (left, right) => left > right,
  ">=": (left, right) => left >= right,
  "==": (left, right) => left === right,
  "===": (left, right) => left === right,
  "!=": (left, right) => left !== right,
};

interface Threshold {
  /** The metric, with its tags. */
  source: string;
  expression: string;
  stat: string;
  holds: (value: number) => boolean;
  sink: Sink;
}

export interface Verdict {
  source: string;
  expression: string;
  stat: string;
  value: number;
  /** Whether anything was measured; k6 too lets a threshold pass that nothing was measured for. */
  measured: boolean;
  passed: boolean;
}

function tagsOf(text: string): Tags {
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const [name = "", ...value] = pair.trim().split(":");
      return [name.trim(), value.join(":").trim()];
    }),
  );
}

/** The thresholds of a test, over its metrics. */
export class Thresholds {
  readonly #thresholds: Threshold[];

  /**
   * Finds the metrics, and has submetrics collect from now on.
   * @throws Error for an unknown metric, a wrong expression, or a number that the metric does not have
   */
  constructor(declared: Record<string, string[]>, metrics: Metrics) {
    this.#thresholds = Object.entries(declared).flatMap(([source, expressions]) => {
      const [, name, tags] = SOURCE.exec(source) ?? [];
      if (name === undefined) throw new Error(`the threshold of "${source}" names no metric`);
      const metric = metrics.get(name);
      const sink = tags === undefined ? metric.sink : metric.submetric(tagsOf(tags));
      return expressions.map((expression) => {
        const [, stat, operator, limit] = EXPRESSION.exec(expression) ?? [];
        if (stat === undefined || sink.stat(stat, 1) === undefined)
          throw new Error(`"${expression}" is no threshold of the ${sink.type} ${source}`);
        const compare = COMPARE[operator as string] as (left: number, right: number) => boolean;
        const holds = (value: number): boolean => compare(value, Number(limit));
        return { source, expression, stat, holds, sink };
      });
    });
  }

  /** @param seconds the length of the test */
  verdicts(seconds: number): Verdict[] {
    return this.#thresholds.map(({ source, expression, stat, holds, sink }) => {
      const value = sink.stat(stat, seconds) as number;
      const measured = sink.total > 0;
      return { source, expression, stat, value, measured, passed: !measured || holds(value) };
    });
  }
}
