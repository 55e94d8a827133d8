/** Rules, dashboards and configuration hold together; `npm run monitoring:check` has Prometheus read them. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { parse, stringify } from "yaml";
import { DASHBOARDS } from "../../monitoring/dashboards.ts";
import { fileOf, grafanaText } from "../../monitoring/grafana.ts";
import { groupingsOf, selectorsOf, withInterval } from "../../scripts/monitoring/promql.ts";
import { alertsOf, hastened, recordsOf, rulesOf } from "../../scripts/monitoring/rules.ts";

const read = (path: string): string => readFileSync(path, "utf8");
const rules = rulesOf(read("monitoring/alerts.yml"));
const [alerts, records] = [alertsOf(rules), recordsOf(rules)];
const panels = DASHBOARDS.flatMap((dashboard) =>
  dashboard.panels.map((panel) => ({ ...panel, name: `${dashboard.uid}, ${panel.title}` })),
);

/** The labels of each metric in docs/metrics.md. */
const documented = new Map(
  Array.from(
    read("docs/metrics.md").matchAll(/^\| `(\w+)` +\| (\w+) +\|([^|]*)\|/gm),
    ([, name, type, labels]) => [
      name as string,
      {
        isHistogram: type === "histogram",
        labels: [...(labels as string).matchAll(/`(\w+)`/g)].map(([, label]) => label as string),
      },
    ],
  ),
);

/** Labels that Prometheus adds. */
const OF_TARGETS = ["instance", "job"];
const anyLabels = [...OF_TARGETS, "le", ...[...documented.values()].flatMap(({ labels }) => labels)];

/** Faults of what a query selects, and by what it groups. */
function faultsOf(query: string): string[] {
  const expr = withInterval(query, "1m");
  const faults = selectorsOf(expr).flatMap(({ metric, labels }) => {
    if (metric === "ALERTS" || records.some(({ record }) => record === metric)) return [];
    const known = documented.get(metric) ?? documented.get(metric.replace(/_(bucket|sum|count)$/, ""));
    if (known === undefined) return [`${metric} is not in docs/metrics.md`];
    if (known.isHistogram === documented.has(metric)) return [`${metric} needs _bucket, _sum or _count`];
    return labels
      .filter((label) => ![...known.labels, ...OF_TARGETS].includes(label))
      .map((label) => `${metric} has no label ${label}`);
  });
  const groupings = groupingsOf(expr).filter((label) => !anyLabels.includes(label));
  return [...faults, ...groupings.map((label) => `no metric has a label ${label}`)];
}

describe("a query selects what docs/metrics.md or a rule has", () => {
  test("of each rule", () => {
    expect(alerts.length).toBeGreaterThan(10);
    for (const { expr } of rules) expect([expr, faultsOf(expr)]).toEqual([expr, []]);
  });

  test("of each panel", () => {
    expect(panels.length).toBeGreaterThan(40);
    for (const { name, queries } of panels)
      for (const { expr } of queries) expect([name, faultsOf(expr)]).toEqual([name, []]);
  });

  test("and what is wrong is found", () => {
    expect(faultsOf("taskwire_nothing")).toEqual(["taskwire_nothing is not in docs/metrics.md"]);
    expect(faultsOf('sum(taskwire_sockets{route="/"})')).toEqual(["taskwire_sockets has no label route"]);
    expect(faultsOf("taskwire_job_duration_seconds")).toHaveLength(1);
    expect(faultsOf("sum by (nod) (taskwire_sockets)")).toEqual(["no metric has a label nod"]);
    expect(() => faultsOf("sum(taskwire_sockets")).toThrow(/^at 20/);
  });
});

test("each figure that a rule records is read by a panel or an alert", () => {
  const readers = [...rules, ...panels.flatMap(({ queries }) => queries)].map(({ expr }) => expr).join("\n");
  expect(records.filter(({ record }) => !readers.includes(record))).toEqual([]);
});

describe("each alert", () => {
  const { tests } = parse(read("monitoring/alerts.test.yml")) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
  };
  const cases = tests.flatMap((each) => each.alert_rule_test);

  test("says how grave it is, what it means, and where its run-book is", () => {
    for (const { alert, labels, annotations } of alerts) {
      expect([alert, labels.severity]).toEqual([alert, expect.stringMatching(/^(critical|warning)$/)]);
      expect(annotations).toEqual({
        summary: expect.any(String),
        description: expect.any(String),
        runbook_url: `docs/operations.md#${alert.toLowerCase()}`,
      });
    }
  });

  test("has a run-book under its name, and no other alert has one", () => {
    const [, runBooks = ""] = read("docs/operations.md").split(/^## Run-books$/m);
    const [section] = runBooks.split(/^## /m) as [string];
    const headings = [...section.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading);
    expect(headings.sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });

  test("has a test in which it fires, and one in which it does not", () => {
    for (const { alert } of alerts) {
      const own = cases.filter(({ alertname }) => alertname === alert);
      expect([alert, new Set(own.map(({ exp_alerts }) => exp_alerts.length > 0))]).toEqual([
        alert,
        new Set([true, false]),
      ]);
    }
  });

  test("has a severity that Alertmanager sends somewhere, and is named there as it is called", () => {
    const { receivers, route, inhibit_rules } = parse(read("monitoring/alertmanager.yml")) as {
      receivers: { name: string }[];
      route: { receiver: string; routes: { receiver: string }[] };
      inhibit_rules: { source_matchers: string[]; target_matchers: string[] }[];
    };
    const used = [route.receiver, ...route.routes.map(({ receiver }) => receiver)].sort();
    expect(receivers.map(({ name }) => name).sort()).toEqual(used);
    const named = inhibit_rules
      .flatMap(({ source_matchers, target_matchers }) => [...source_matchers, ...target_matchers])
      .flatMap((matcher) => (/"(.*)"/.exec(matcher)?.[1] as string).split("|"));
    expect(named.filter((name) => !alerts.some(({ alert }) => alert === name))).toEqual([]);
  });
});

test("rules in a hurry have shorter durations, and the same bounds", () => {
  const rule = { alert: "Late", expr: "rate(x[5m]) > 60 and min_over_time(y[1m]) > 2", for: "30s" };
  const quick = hastened(stringify({ groups: [{ name: "a", rules: [rule] }] }), 12, 10);
  expect(rulesOf(quick)).toEqual([
    { alert: "Late", expr: "rate(x[25s]) > 60 and min_over_time(y[10s]) > 2", for: "3s" },
  ]);
});

test("the dashboards that Grafana reads are those of monitoring/dashboards.ts (npm run dashboards)", () => {
  for (const dashboard of DASHBOARDS)
    expect(readFileSync(fileOf(dashboard), "utf8")).toBe(grafanaText(dashboard));
  expect(new Set(DASHBOARDS.map(({ uid }) => uid)).size).toBe(DASHBOARDS.length);
});

describe("compose.yaml's monitoring", () => {
  const { services } = parse(read("compose.yaml"), { merge: true }) as {
    services: Record<
      string,
      { environment?: { SERVICES?: string }; profiles?: string[]; volumes?: string[] }
    >;
  };

  test("mounts files of the repository", () => {
    const mounted = Object.values(services)
      .filter(({ profiles }) => profiles?.includes("monitoring"))
      .flatMap(({ volumes = [] }) => volumes.filter((volume) => volume.startsWith("./")))
      .map((volume) => volume.split(":")[0] as string);
    expect(mounted.length).toBeGreaterThan(4);
    expect(mounted.filter((path) => !existsSync(path))).toEqual([]);
  });

  test("scrapes each node at the image's OPS_PORT", () => {
    const { scrape_configs } = parse(read("monitoring/prometheus.yml")) as {
      scrape_configs: [{ dns_sd_configs: [{ names: string[]; port: number }] }];
    };
    const [{ names, port }] = scrape_configs[0].dns_sd_configs;
    const nodes = Object.keys(services).filter((name) => services[name]?.environment?.SERVICES !== undefined);
    expect([...names].sort()).toEqual(nodes.sort());
    expect(String(port)).toBe(/OPS_PORT=(\d+)/.exec(read("Dockerfile"))?.[1]);
  });
});
