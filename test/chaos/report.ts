/** The table at the end of a run. */
import { readFileSync } from "node:fs";
import { countDrags } from "./check-dragging.ts";
import { isFailed } from "./check-writes.ts";
import type { Verdict } from "./checker.ts";
import { type Finding, FINDINGS } from "./findings.ts";
import { faultsOf } from "./histories.ts";
import { namesOf } from "./lateness.ts";
import type { Recording } from "./recording.ts";

const MEGABYTE = 1024 * 1024;

const percentile = (sorted: number[], share: number): number =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);

/** Rows as a table: the first row is its head; numbers stand to the right. */
export function table(rows: (string | number)[][]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => String(row[at] ?? "").length)));
  const line = (row: (string | number)[]): string =>
    row
      .map((cell, at) =>
        typeof cell === "number" ? String(cell).padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join("  ")
      .trimEnd();
  const [head = [], ...body] = rows;
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...body.map(line)].join("\n");
}

function countBy<Item>(items: Item[], nameOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const name = nameOf(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
}

function callsTable({ calls }: Recording): string {
  const rows = [...countBy(calls, ({ action }) => action)].sort(([a], [b]) => (a < b ? -1 : 1));
  const count = (list: Recording["calls"], outcome: string): number =>
    list.filter((call) => call.outcome === outcome).length;
  return table([
    ["action", "ok", "refused", "failed", "unknown"],
    ...rows.map(([name, list]) => [
      name,
      ...["ok", "refused", "failed", "unknown"].map((outcome) => count(list, outcome)),
    ]),
  ]);
}

/** Writes that docs/openapi.json has and nobody made: a short run may make none of a rare kind. */
function missingWrites({ calls }: Recording): string {
  const file = new URL("../../docs/openapi.json", import.meta.url);
  const { paths } = JSON.parse(readFileSync(file, "utf8")) as { paths: Record<string, object> };
  const made = new Set(calls.map(({ operation }) => operation));
  const missing = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => ["post", "put", "patch", "delete"].includes(method))
      .map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, "{}")}`)
      // It is a read.
      .filter((operation) => operation !== "POST /sync" && !made.has(operation)),
  );
  return `Writes of the API that nobody made: ${missing.join(", ") || "none"}`;
}

function failuresTable(recording: Recording): string {
  const all = countBy(recording.calls, (call) => namesOf(faultsOf(recording, call)));
  const rows = [...all].map(([name, calls]) => {
    const failed = calls.filter(isFailed);
    const how = [...countBy(failed, ({ status, code }) => `${status ?? "cut"} ${code ?? ""}`.trim())];
    return [
      name,
      calls.length,
      failed.length,
      how.map(([text, list]) => `${list.length} × ${text}`).join(", "),
    ];
  });
  return table([["fault", "requests", "failed", "how"], ...rows.sort((a, b) => Number(b[2]) - Number(a[2]))]);
}

function latenessTable({ lateness }: Verdict): string {
  const rows = [...lateness].map(([name, times]) => {
    const sorted = times.sort((a, b) => a - b);
    return [name, sorted.length, ...[0.5, 0.95, 0.99, 1].map((share) => percentile(sorted, share))];
  });
  return table([
    ["lateness by fault (ms)", "frames", "p50", "p95", "p99", "max"],
    ...rows.sort((a, b) => Number(b[1]) - Number(a[1])),
  ]);
}

/** How many there were of each kind of client, how often they connected, and what they got. */
function subscribersTable({ signals }: Recording): string {
  const transports = new Map(
    signals.flatMap((one) => (one.kind === "opened" ? [[one.client, one.transport] as const] : [])),
  );
  const kinds = countBy(
    signals.filter(({ client }) => transports.has(client)),
    ({ client }) => transports.get(client) as string,
  );
  const rows = [...kinds].map(([name, list]) => {
    const count = (kind: Recording["signals"][number]["kind"]): number =>
      list.filter((one) => one.kind === kind).length;
    const clients = new Set(list.map(({ client }) => client)).size;
    return [name, clients, ...(["opened", "event", "stream_closed", "refused"] as const).map(count)];
  });
  const head = ["subscribers", "count", "connections", "frames", "streams lost", "refusals"];
  return table([head, ...rows.sort((a, b) => Number(b[3]) - Number(a[3]))]);
}

function storesTable({ stores = [] }: Recording): string[] {
  if (stores.length === 0) return [];
  const rows = stores.map(({ client, stream, status, made, waiting, refused, differences }) => [
    client,
    stream,
    status,
    made,
    waiting,
    refused,
    differences.length,
  ]);
  return [
    "Stores of the SDK",
    table([["client", "stream", "status", "changes", "wait", "refused", "differ"], ...rows]),
  ];
}

/** What became of the drags, and who has the column in which order. */
function draggingTables({ dragging }: Recording): string[] {
  if (dragging === undefined) return [];
  const { drags, cuts, orders } = dragging;
  const { moved, inPlace, others } = countDrags(dragging);
  const names = [...countBy(Object.keys(orders), (name) => String(orders[name])).values()];
  return [
    table([
      ["drags", "count"],
      ["asked", drags.length],
      ["moved their card", moved],
      ["found it in its place", inPlace],
      ...[...others].map(([outcome, count]): [string, number] => [outcome, count]),
      ["networks broken meanwhile", cuts],
    ]),
    table([
      ["the same order of cards", "has so many"],
      ...names.map((list) => [list.join(", "), list.length]),
    ]),
  ];
}

function memoryTable({ memory }: Recording): string {
  const rows = Object.entries(memory).map(([name, samples]) => {
    const most = samples.reduce((a, b) => Math.max(a, b), 0);
    return [
      name,
      ...[samples[0] ?? 0, most, samples.at(-1) ?? 0].map((bytes) => Math.round(bytes / MEGABYTE)),
    ];
  });
  return table([["memory (MB)", "first", "most", "last"], ...rows]);
}

function findingsTable({ findings }: Verdict): string {
  const rows = (Object.keys(FINDINGS) as Finding[]).map((name) => [
    name,
    findings.counts[name],
    FINDINGS[name],
  ]);
  const examples = [...findings.examples].flatMap(([name, list]) => list.map((text) => `  ${name}: ${text}`));
  return [table([["finding", "count", "means"], ...rows]), ...examples].join("\n");
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10;

function faultsTable({ faults, began }: Recording): string {
  const rows = faults.map(({ name, target, began: from, ended }) => [
    name,
    target,
    seconds(from - began),
    seconds(ended - from),
  ]);
  return table([["fault", "where", "at (s)", "for (s)"], ...rows]);
}

/** Each outage of Postgres, and over all of each kind. */
function outagesTables({ began }: Recording, { outages }: Verdict): string[] {
  if (outages.length === 0) return [];
  const rows = outages.map(({ fault, away, firstWrite }) => [
    fault.name,
    seconds(fault.began - began),
    Math.round(away),
    firstWrite === null ? "none" : Math.round(firstWrite),
  ]);
  const kinds = [...countBy(outages, ({ fault }) => fault.name)].map(([name, list]) => {
    const times = list.flatMap(({ firstWrite }) => firstWrite ?? []).sort((a, b) => a - b);
    return [name, list.length, ...[0, 0.5, 1].map((share) => percentile(times, share))];
  });
  return [
    table([["Postgres away", "at (s)", "reachable after (ms)", "first write after (ms)"], ...rows]),
    table([["first write after (ms)", "times", "min", "p50", "max"], ...kinds]),
  ];
}

const FATES = {
  told: "told recovered: false",
  went_on: "went on in what both logs have",
  absent: "closed, or not had again",
  told_without_need: "told without need",
  misled: "misled",
} as const;

/** What the positions of clients became by each restore. */
function rewindsTable({ began }: Recording, { rewinds }: Verdict): string[] {
  const rows = rewinds.flatMap(({ at, clients }) =>
    [...countBy(clients, ({ whereabouts }) => whereabouts)].map(([whereabouts, list]) => {
      const fates = countBy(
        list.flatMap((client) => client.fates),
        (fate) => fate,
      );
      const counts = Object.keys(FATES).map((fate) => fates.get(fate)?.length ?? 0);
      return [whereabouts, seconds(at - began), list.length, ...counts];
    }),
  );
  const head = ["restore: clients that were", "at (s)", "clients", ...Object.values(FATES)];
  return rows.length === 0 ? [] : [table([head, ...rows])];
}

/** What clients noticed of each step of a rollout. */
function stepsTable({ steps }: Verdict): string[] {
  if (steps.length === 0) return [];
  const rows = steps.map(({ fault, calls, failed, closed, back }) => {
    const how = countBy(failed, (call) => `${call.action} ${call.status ?? "cut"} ${call.code ?? ""}`.trim());
    const times = calls.map((call) => call.ended - call.began).sort((a, b) => a - b);
    const returns = back.sort((a, b) => a - b);
    return [
      `${fault.name} ${fault.target}`,
      seconds(fault.ended - fault.began),
      calls.length,
      failed.length,
      percentile(times, 0.99),
      closed.length,
      Math.round(closed.reduce((most, ms) => Math.max(most, ms), 0)),
      percentile(returns, 0.5),
      percentile(returns, 1),
      [...how].map(([name, list]) => `${list.length} × ${name}`).join(", "),
    ];
  });
  const head = ["step", "s", "requests", "failed", "p99 ms", "sockets closed", "last after ms"];
  return [table([[...head, "back p50 ms", "back max ms", "how they failed"], ...rows])];
}

export function report(recording: Recording, verdict: Verdict): string {
  const { seed, faults, signals, calls, began, ended } = recording;
  const frames = signals.filter(({ kind }) => kind === "event").length;
  const connections = signals.filter(({ kind }) => kind === "opened").length;
  const clients = new Set(signals.map(({ client }) => client)).size;
  const summary = `seed ${seed}: ${Math.round((ended - began) / 1000)} s, ${faults.length} faults, ${calls.length} requests, ${clients} subscribers, ${connections} connections, ${frames} frames`;
  return [
    summary,
    faultsTable(recording),
    ...outagesTables(recording, verdict),
    ...rewindsTable(recording, verdict),
    ...stepsTable(verdict),
    callsTable(recording),
    missingWrites(recording),
    failuresTable(recording),
    subscribersTable(recording),
    ...storesTable(recording),
    ...draggingTables(recording),
    latenessTable(verdict),
    memoryTable(recording),
    findingsTable(verdict),
    verdict.findings.isSound ? "Nothing was found." : "The run found faults: see above.",
  ].join("\n\n");
}
