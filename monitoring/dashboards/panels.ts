/** The words in which the dashboards are written. */
import type { Panel, Query } from "../grafana.ts";

/** @param legend what a line is called, `{{label}}` included */
export const query = (expr: string, legend = ""): Query => ({ expr, legend });

/** Quantiles of a histogram, by further labels. */
export const quantiles = (metric: string, shares: number[], by: string[] = [], selector = ""): Query[] =>
  shares.map((share) =>
    query(
      `histogram_quantile(${share}, sum by (${["le", ...by].join(", ")}) (rate(${metric}_bucket${selector}[$__rate_interval])))`,
      [`p${Number((share * 100).toFixed(1))}`, ...by.map((label) => `{{${label}}}`)].join(" "),
    ),
  );

/** A panel of one large number. */
export const stat = (panel: Omit<Panel, "kind">): Panel => ({ ...panel, kind: "stat" });
/** A panel of a history. */
export const lines = (panel: Omit<Panel, "kind">): Panel => ({ ...panel, kind: "lines" });

/** The rate of a counter by one of its labels. */
export const rateBy = (label: string, metric: string): Query[] => [
  query(`sum by (${label}) (rate(${metric}[$__rate_interval]))`, `{{${label}}}`),
];
