/** A real Prometheus and Alertmanager, with the files of monitoring/ made fit for this machine, and who gets the alerts. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parse, stringify } from "yaml";
import { cleanEnv } from "../../local/clean-env.ts";
import { freePort } from "../../local/ports.ts";
import type { Starting } from "../../local/program.ts";
import { until } from "../../local/until.ts";
import { hastened, shorter } from "./rules.ts";
import type { WatchedSystem } from "./system.ts";

/** Seconds between two scrapes, and between two evaluations of the rules. */
export const SCRAPE_S = 1;
const READY_MS = 30_000;

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** What Alertmanager says of an alert. */
export interface ActiveAlert {
  name: string;
  /** Another alert is its cause: it is not sent. */
  isInhibited: boolean;
}

export interface Watch {
  /** Runs a query at this moment. @throws Error what Prometheus refuses */
  query(expr: string): Promise<Sample[]>;
  /** Names of the alerts that fire, as Prometheus says. */
  firing(): Promise<string[]>;
  /** The alerts that Alertmanager has. */
  active(): Promise<ActiveAlert[]>;
  /** What was sent to the receivers, `PostgresDown firing to page`, in order. */
  sent: string[];
}

interface Notification {
  receiver: string;
  alerts: { status: string; labels: { alertname: string } }[];
}

/** Takes what Alertmanager sends. @returns its URL without the receiver's name */
async function startReceiver({ own }: Starting, sent: string[]): Promise<string> {
  const server = createServer((request, response) => {
    text(request).then(
      (body) => {
        const { receiver, alerts } = JSON.parse(body) as Notification;
        for (const { status, labels } of alerts) sent.push(`${labels.alertname} ${status} to ${receiver}`);
        response.end();
      },
      () => response.destroy(),
    );
  });
  const port = await freePort();
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  own({
    name: "the receiver",
    async stop() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  });
  return `http://127.0.0.1:${port}`;
}

/** Starts a program that serves HTTP, and waits until it is ready. @throws Error with its last lines */
async function serve({ own }: Starting, command: string, args: string[], url: string): Promise<void> {
  const child: ChildProcess = spawn(command, args, { env: cleanEnv(), stdio: ["ignore", "pipe", "pipe"] });
  const lines: string[] = [];
  let isGone = false;
  const gone = new Promise<void>((resolve) => {
    const end = (): void => {
      isGone = true;
      resolve();
    };
    child.once("close", end).once("error", (error) => {
      lines.push(error.message);
      end();
    });
  });
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (data: Buffer) => lines.push(data.toString()) > 10 && lines.shift());
  own({
    name: command,
    async stop() {
      child.kill("SIGTERM");
      await gone;
    },
    force: () => void child.kill("SIGKILL"),
  });
  const answers = (): Promise<boolean> =>
    fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  const ready = await until(async () => isGone || (await answers()), READY_MS);
  if (!ready || isGone) throw new Error(`${command} did not serve:\n${lines.join("")}`);
}

interface PrometheusConfig {
  global: Record<string, string>;
  rule_files: string[];
  alerting: { alertmanagers: object[] };
  scrape_configs: object[];
}

interface AlertmanagerConfig {
  route: { group_wait: string; group_interval: string };
  receivers: { name: string; webhook_configs?: object[] }[];
}

/** Milliseconds that an answer may take. */
const PATIENCE_MS = 10_000;

async function ask<Body>(url: string): Promise<Body> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Body;
}

/**
 * Starts both.
 * @param targets of the system: a node's name becomes the label `instance`
 * @param factor by which the rules (`hastened`) and Alertmanager's waits are in a hurry; 1 leaves them as they are
 * @param alertmanager the program's name: Debian calls it prometheus-alertmanager
 */
export async function startWatch(
  starting: Starting,
  { targets, metricsToken }: Pick<WatchedSystem, "targets" | "metricsToken">,
  factor: number,
  alertmanager: string,
): Promise<Watch> {
  const dir = await mkdtemp(join(tmpdir(), "taskwire-prometheus-"));
  starting.own({ name: "Prometheus' folder", stop: () => rm(dir, { recursive: true, force: true }) });
  const sent: string[] = [];
  const receiver = await startReceiver(starting, sent);
  const [prometheusPort, alertmanagerPort] = [await freePort(), await freePort()];

  const routing = parse(await readFile("monitoring/alertmanager.yml", "utf8")) as AlertmanagerConfig;
  for (const wait of ["group_wait", "group_interval"] as const)
    routing.route[wait] = shorter(routing.route[wait], factor);
  for (const each of routing.receivers) each.webhook_configs = [{ url: receiver, send_resolved: true }];
  await writeFile(join(dir, "alertmanager.yml"), stringify(routing));

  const config = parse(await readFile("monitoring/prometheus.yml", "utf8")) as PrometheusConfig;
  const interval = `${SCRAPE_S}s`;
  config.global = { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval };
  config.alerting.alertmanagers = [{ static_configs: [{ targets: [`127.0.0.1:${alertmanagerPort}`] }] }];
  config.scrape_configs = [
    {
      job_name: "taskwire",
      authorization: { credentials: metricsToken },
      static_configs: Object.entries(targets).map(([instance, target]) => ({
        targets: [target],
        labels: { instance },
      })),
    },
  ];
  await writeFile(join(dir, "prometheus.yml"), stringify(config), { mode: 0o600 });
  const rules = await readFile("monitoring/alerts.yml", "utf8");
  await writeFile(join(dir, "alerts.yml"), factor === 1 ? rules : hastened(rules, factor, 5 * SCRAPE_S));

  const origins = {
    prometheus: `http://127.0.0.1:${prometheusPort}`,
    alertmanager: `http://127.0.0.1:${alertmanagerPort}`,
  };
  await serve(
    starting,
    alertmanager,
    [
      `--config.file=${join(dir, "alertmanager.yml")}`,
      `--storage.path=${join(dir, "alertmanager")}`,
      `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
      "--cluster.listen-address=",
      "--log.level=warn",
    ],
    origins.alertmanager,
  );
  await serve(
    starting,
    "prometheus",
    [
      `--config.file=${join(dir, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(dir, "prometheus")}`,
      `--web.listen-address=127.0.0.1:${prometheusPort}`,
      "--log.level=warn",
    ],
    origins.prometheus,
  );

  interface Vector {
    data: { result: { metric: Record<string, string>; value: [number, string] }[] };
  }
  interface Alerts {
    data: { alerts: { labels: { alertname: string }; state: string }[] };
  }
  return {
    sent,
    async query(expr) {
      const { data } = await ask<Vector>(
        `${origins.prometheus}/api/v1/query?query=${encodeURIComponent(expr)}`,
      );
      return data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
    },
    async firing() {
      const { data } = await ask<Alerts>(`${origins.prometheus}/api/v1/alerts`);
      const firing = data.alerts.filter(({ state }) => state === "firing");
      return [...new Set(firing.map(({ labels }) => labels.alertname))].sort();
    },
    async active() {
      const alerts = await ask<{ labels: { alertname: string }; status: { inhibitedBy: string[] } }[]>(
        `${origins.alertmanager}/api/v2/alerts?active=true&inhibited=true`,
      );
      return alerts.map(({ labels, status }) => ({
        name: labels.alertname,
        isInhibited: status.inhibitedBy.length > 0,
      }));
    },
  };
}
