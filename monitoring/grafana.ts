/** Grafana's JSON of a dashboard, from the little that distinguishes one panel from another. */

/** Grafana's name of a unit: seconds, requests or events or statements a second, bytes, a share of 1, a plain number. */
export type Unit = "s" | "reqps" | "ops" | "bytes" | "percentunit" | "short";

export interface Query {
  /** PromQL; `$__rate_interval` is Grafana's, four scrapes or more. */
  expr: string;
  /** What a line is called, `{{label}}` included. */
  legend: string;
}

export interface Panel {
  title: string;
  /** What a reader should know who sees it for the first time. */
  description: string;
  unit: Unit;
  /** `stat` is one large number, `lines` a history. */
  kind: "stat" | "lines";
  queries: Query[];
  /** From where on it is red. */
  limit?: number;
  /** Whether it is red below `limit`, not above. */
  below?: boolean;
  /** Why it has no data while all is well; without it, no data is a fault. */
  emptyWhenHealthy?: string;
}

export interface Dashboard {
  /** Of the file and of the address in Grafana. */
  uid: string;
  title: string;
  panels: Panel[];
}

/** Grafana divides its width into so many columns. */
const WIDTH = 24;
const SIZES = { stat: { w: 4, h: 4 }, lines: { w: 8, h: 8 } } as const;
const DATASOURCE = { type: "prometheus", uid: "prometheus" };

/** Places for panels one after another, from left to right and from top to bottom. */
function places(panels: readonly Panel[]): { x: number; y: number; w: number; h: number }[] {
  let [x, y, height] = [0, 0, 0];
  return panels.map(({ kind }) => {
    const { w, h } = SIZES[kind];
    if (x + w > WIDTH || (x > 0 && h !== height)) [x, y] = [0, y + height];
    height = h;
    const place = { x, y, w, h };
    x += w;
    return place;
  });
}

function thresholds({ limit, below = false }: Panel): object {
  const [first, second] = below ? ["red", "green"] : ["green", "red"];
  const steps = [{ color: limit === undefined ? "green" : first, value: null }];
  return {
    mode: "absolute",
    steps: limit === undefined ? steps : [...steps, { color: second, value: limit }],
  };
}

/** Where Grafana reads the dashboard. */
export const fileOf = ({ uid }: Dashboard): URL => new URL(`grafana/dashboards/${uid}.json`, import.meta.url);

/** The dashboard as a file of Grafana 10 or later. */
export function grafanaText({ uid, title, panels }: Dashboard): string {
  const at = places(panels);
  const dashboard = {
    uid,
    title,
    tags: ["taskwire"],
    schemaVersion: 39,
    version: 1,
    editable: false,
    refresh: "10s",
    time: { from: "now-1h", to: "now" },
    timezone: "browser",
    links: [{ type: "dashboards", title: "Taskwire", tags: ["taskwire"], asDropdown: true, keepTime: true }],
    panels: panels.map((panel, index) => ({
      id: index + 1,
      type: panel.kind === "stat" ? "stat" : "timeseries",
      title: panel.title,
      description: panel.description,
      datasource: DATASOURCE,
      gridPos: at[index],
      fieldConfig: {
        defaults: {
          unit: panel.unit,
          min: 0,
          thresholds: thresholds(panel),
          ...(panel.kind === "stat"
            ? { color: { mode: "thresholds" } }
            : {
                custom: {
                  thresholdsStyle: { mode: panel.limit === undefined ? "off" : "dashed" },
                  showPoints: "never",
                },
              }),
        },
        overrides: [],
      },
      options:
        panel.kind === "stat"
          ? { reduceOptions: { calcs: ["lastNotNull"] }, colorMode: "background", graphMode: "area" }
          : {
              legend: { displayMode: "list", placement: "bottom" },
              tooltip: { mode: "multi", sort: "desc" },
            },
      targets: panel.queries.map(({ expr, legend }, nth) => ({
        refId: String.fromCharCode(65 + nth),
        datasource: DATASOURCE,
        expr,
        legendFormat: legend,
      })),
    })),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}
