/** How `npm run bench` prints figures, keeps them in a file, and compares them with those of an earlier run. */
import type { Cell } from "./measure.ts";

/** The figures of a run, as a file keeps them. */
export interface Run {
  commit: string;
  at: string;
  node: string;
  cpus: number;
  /** The machine's load average when the measurement began and when it ended: what else it did. */
  load: [number, number];
  seconds: number;
  rounds: number;
  connections: number;
  operations: string[];
  servers: string[];
  /** For each operation, and for each server. */
  cells: Cell[][];
}

/** In the order in which a request meets them. */
const PROCESSES = [
  "gateway",
  "taskwire",
  "server",
  "NATS",
  "tasks",
  "projects",
  "users",
  "auth",
  "notifier",
  "Redis",
  "Postgres",
];

/** The server that others are compared with. */
export const BASE = "bare";

const number = (value: number, digits = 0): string =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const ratio = (value: number | null | undefined): string =>
  value == null || !Number.isFinite(value) ? "" : number(value, 2);

/** Microseconds of all processes for one request. */
export const wholeOf = ({ cpu }: Cell): number => Object.values(cpu).reduce((sum, used) => sum + used, 0);

/** What each process spends on one request: `gateway 476, NATS 195, …`. Less than half a microsecond is left out. */
function shares({ cpu }: Cell): string {
  const place = (name: string): number => PROCESSES.indexOf(name);
  return Object.entries(cpu)
    .filter(([, used]) => used >= 0.5)
    .toSorted(([one], [other]) => place(one) - place(other))
    .map(([name, used]) => `${name} ${number(used)}`)
    .join(", ");
}

const COLUMNS: [title: string, width: number][] = [
  ["req/s", 9],
  [`÷ ${BASE}`, 8],
  ["p50 ms", 9],
  ["p99 ms", 9],
  ["CPU µs", 9],
  [`÷ ${BASE}`, 8],
];

const row = (name: string, columns: string[], rest: string): string =>
  `${`  ${name}`.padEnd(24)}${columns.map((text, at) => text.padStart(COLUMNS[at]?.[1] ?? 0)).join("")}  ${rest}`;

/** @returns the lines of the table: requests a second, latencies, and CPU time a request with what each process spends */
export function table({ operations, servers, cells }: Run): string[] {
  const lines = [
    row(
      "",
      COLUMNS.map(([title]) => title),
      "CPU µs a request by process",
    ).trimEnd(),
  ];
  const base = servers.indexOf(BASE);
  for (const [at, operation] of operations.entries()) {
    lines.push("", operation);
    for (const [column, server] of servers.entries()) {
      const cell = cells[at]?.[column] as Cell;
      const against = cells[at]?.[base];
      const whole = wholeOf(cell);
      const isBase = column === base;
      const columns = [
        number(cell.perSecond),
        isBase ? "" : ratio(cell.ratio),
        number(cell.p50, 1),
        number(cell.p99, 1),
        number(whole),
        isBase || against === undefined ? "" : ratio(whole / wholeOf(against)),
      ];
      lines.push(row(server, columns, shares(cell)));
    }
  }
  return lines;
}

/** The ratios that the targets name (docs/performance.md): of requests a second, and of CPU time. */
const RATIOS: [title: string, one: string, other: string, figure: (cell: Cell) => number][] = [
  ["single ÷ bare", "single", "bare", ({ perSecond }) => perSecond],
  ["cluster ÷ bare", "cluster", "bare", ({ perSecond }) => perSecond],
  ["cluster ÷ skeleton", "cluster", "skeleton", ({ perSecond }) => perSecond],
  ["cluster ÷ fastapi", "cluster", "fastapi", ({ perSecond }) => perSecond],
  ["CPU: single ÷ bare", "single", "bare", wholeOf],
  ["CPU: cluster ÷ bare", "cluster", "bare", wholeOf],
];

/** @returns the lines of a table of ratios, of the pairs that were measured; none if there is no such pair */
export function ratios({ operations, servers, cells }: Run): string[] {
  const measured = RATIOS.filter(([, one, other]) => servers.includes(one) && servers.includes(other));
  if (measured.length === 0) return [];
  const line = (name: string, columns: string[]): string =>
    name.padEnd(18) + columns.map((text) => text.padStart(21)).join("");
  const lines = operations.map((operation, at) => {
    const of = (server: string): Cell => cells[at]?.[servers.indexOf(server)] as Cell;
    const columns = measured.map(([, one, other, figure]) => ratio(figure(of(one)) / figure(of(other))));
    return line(operation, columns);
  });
  return [
    line(
      "requests a second",
      measured.map(([title]) => title),
    ),
    ...lines,
  ];
}

const change = (before: number, after: number, digits: number): string =>
  `${number(before, digits)} → ${number(after, digits)} (×${number(after / before, 2)})`;

/** @returns the lines that compare two runs, where both measured an operation of a server */
export function comparison(before: Run, after: Run): string[] {
  const lines = [`before (${before.commit}, ${before.at}) → after (${after.commit})`];
  for (const [at, operation] of after.operations.entries())
    for (const [column, server] of after.servers.entries()) {
      const now = after.cells[at]?.[column] as Cell;
      const then = before.cells[before.operations.indexOf(operation)]?.[before.servers.indexOf(server)];
      if (then === undefined) continue;
      const names = PROCESSES.filter((name) => Math.max(then.cpu[name] ?? 0, now.cpu[name] ?? 0) >= 5);
      const each = names.map((name) => `${name} ${change(then.cpu[name] ?? 0, now.cpu[name] ?? 0, 0)}`);
      lines.push(
        "",
        `${operation}, ${server}`,
        `  requests/s ${change(then.perSecond, now.perSecond, 0)}, p50 ${change(then.p50, now.p50, 1)}, p99 ${change(then.p99, now.p99, 1)} ms`,
        `  CPU µs ${change(wholeOf(then), wholeOf(now), 0)}: ${each.join(", ")}`,
      );
    }
  return lines;
}
