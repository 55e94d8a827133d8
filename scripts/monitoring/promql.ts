/** PromQL as Prometheus' own grammar reads it, without a Prometheus. */
import { parser } from "@prometheus-io/lezer-promql";

/** A metric in a query, with the labels that its selector compares. */
export interface Selector {
  metric: string;
  labels: string[];
}

/** Grafana puts a duration in place of its variable. */
export const withInterval = (expr: string, interval: string): string =>
  expr.replaceAll("$__rate_interval", interval);

/**
 * What a query selects.
 * @throws Error with the place of the first fault of its syntax
 */
export function selectorsOf(expr: string): Selector[] {
  const selectors: Selector[] = [];
  parser.parse(expr).iterate({
    enter({ type, from, to, node }) {
      if (type.isError) throw new Error(`at ${from}, before "${expr.slice(from, from + 20)}": ${expr}`);
      if (type.name !== "VectorSelector") return;
      const labels: string[] = [];
      node.cursor().iterate(({ name, from: begin, to: end }) => {
        if (name === "LabelName") labels.push(expr.slice(begin, end));
      });
      const metric = /^[\w:]+/.exec(expr.slice(from, to))?.[0];
      if (metric === undefined) throw new Error(`a selector without a metric, at ${from}: ${expr}`);
      selectors.push({ metric, labels });
    },
  });
  return selectors;
}

/** The labels by which a query groups and joins. @throws what `selectorsOf` throws */
export function groupingsOf(expr: string): string[] {
  selectorsOf(expr);
  const labels: string[] = [];
  parser.parse(expr).iterate({
    enter({ name, from, to, node }) {
      if (name === "LabelName" && node.parent?.name === "GroupingLabels") labels.push(expr.slice(from, to));
    },
  });
  return labels;
}
