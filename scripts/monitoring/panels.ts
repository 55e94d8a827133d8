/** Runs each panel's queries and says what it shows. */
import { DASHBOARDS } from "../../monitoring/dashboards.ts";
import type { Panel, Unit } from "../../monitoring/grafana.ts";
import { type Sample, SCRAPE_S, type Watch } from "./prometheus.ts";
import { withInterval } from "./promql.ts";

/** As Grafana makes it: four scrapes. Longer here, so that what happens each second or two is in it. */
const RATE_INTERVAL = `${20 * SCRAPE_S}s`;
/** The lines of a panel that are shown. */
const SHOWN = 3;

const units: Record<Unit, (value: number) => string> = {
  s: (value) => (value < 1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(1)} s`),
  reqps: (value) => `${value.toFixed(2)}/s`,
  ops: (value) => `${value.toFixed(2)}/s`,
  bytes: (value) => `${(value / 2 ** 20).toFixed(0)} MiB`,
  percentunit: (value) => `${(value * 100).toFixed(1)} %`,
  short: (value) => String(Number(value.toFixed(2))),
};

/** A line's name, of its legend and labels. */
const nameOf = (legend: string, { labels }: Sample): string =>
  legend.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? "?");

/** What a panel shows now; null where one of its queries has no data. */
async function show({ unit, queries }: Panel, watch: Watch): Promise<string | null> {
  const shown: string[] = [];
  for (const { expr, legend } of queries) {
    const samples = (await watch.query(withInterval(expr, RATE_INTERVAL))).filter(
      ({ value }) => !isNaN(value),
    );
    if (samples.length === 0) return null;
    const lines = samples
      .toSorted((a, b) => b.value - a.value)
      .map((sample) => `${nameOf(legend, sample)} ${units[unit](sample.value)}`.trim());
    const more = lines.length > SHOWN ? ` and ${lines.length - SHOWN} more` : "";
    shown.push(lines.slice(0, SHOWN).join(", ") + more);
  }
  return shown.join("; ");
}

/** Prints each panel with its number. @returns the panels that have no data and no reason for it */
export async function showPanels(watch: Watch, say: (line: string) => void): Promise<string[]> {
  const empty: string[] = [];
  for (const { title, panels } of DASHBOARDS) {
    say(`\n${title}`);
    for (const panel of panels) {
      const shown = await show(panel, watch);
      const reason = panel.emptyWhenHealthy;
      if (shown === null && reason === undefined) empty.push(`${title}: ${panel.title}`);
      const missing = reason === undefined ? "NO DATA" : `empty: ${reason}`;
      say(`  ${panel.title.padEnd(34)} ${shown ?? missing}`);
    }
  }
  return empty;
}
