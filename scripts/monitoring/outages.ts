/** Stops Postgres, NATS and Redis in turn, and says what probes and alerts say at each step. */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Watch } from "./prometheus.ts";
import { alertsOf, rulesOf, secondsOf } from "./rules.ts";
import type { Dependency, WatchedSystem } from "./system.ts";

/** What is seen at one moment. */
interface View {
  live: string;
  ready: string;
  health: string;
  /** The `/ready` of a node that is no gateway. */
  tasksReady: string;
  firing: string;
  notified: string;
}

/** What has to be seen while a dependency is away, and the alert that has to fire. */
const EXPECTED: Record<Dependency["name"], { ready: string; health: string; alert: string }> = {
  Postgres: { ready: "503", health: "503 down", alert: "PostgresDown" },
  NATS: { ready: "503", health: "503 down", alert: "NatsDown" },
  // Nothing fails without Redis.
  Redis: { ready: "200", health: "200 degraded", alert: "RedisDown" },
};

/** Seconds within which all is well again, probes and alerts. */
const RECOVERY_S = 120;
const EVERY_MS = 500;
const PATIENCE_MS = 3000;

async function probe(url: string): Promise<string> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const { status, missing = [] } = (await answer.json().catch(() => ({}))) as {
      status?: string;
      missing?: string[];
    };
    return [answer.status, status, missing.length > 0 ? `(${missing.join(", ")})` : ""]
      .filter((part) => part !== undefined && part !== "")
      .join(" ");
  } catch {
    return "no answer";
  }
}

const HEAD = ["second", "/live", "/ready", "/health", "tasks-1 /ready", "alerts that fire", "sent"];
const WIDTHS = [7, 12, 34, 14, 24, 40, 0];
const row = (cells: readonly string[]): string =>
  cells
    .map((cell, at) => cell.padEnd(WIDTHS[at] as number))
    .join("  ")
    .trimEnd();

/** One outage and its end. */
class Outage {
  readonly #system: WatchedSystem;
  readonly #watch: Watch;
  readonly #say: (line: string) => void;
  readonly #beganAt = performance.now();
  readonly #seen: View[] = [];
  #sentBefore: number;

  constructor(system: WatchedSystem, watch: Watch, say: (line: string) => void) {
    this.#system = system;
    this.#watch = watch;
    this.#say = say;
    this.#sentBefore = watch.sent.length;
  }

  get seconds(): number {
    return (performance.now() - this.#beganAt) / 1000;
  }

  /** Looks once; prints a line when it sees something else than before. */
  async look(): Promise<View> {
    const { origin, targets } = this.#system;
    const [live, ready, health, tasksReady, firing, active] = await Promise.all([
      probe(`${origin}/live`),
      probe(`${origin}/ready`),
      probe(`${origin}/health`),
      probe(`http://${targets["tasks-1"]}/ready`),
      this.#watch.firing(),
      this.#watch.active(),
    ]);
    const inhibited = new Set(active.filter(({ isInhibited }) => isInhibited).map(({ name }) => name));
    const named = firing.map((name) => (inhibited.has(name) ? `(${name})` : name));
    const sent = this.#watch.sent.slice(this.#sentBefore);
    this.#sentBefore += sent.length;
    const view = {
      live,
      ready,
      health,
      tasksReady,
      firing: named.join(", "),
      notified: [...new Set(sent)].join(", "),
    };
    const last = this.#seen.at(-1);
    if (last === undefined || sent.length > 0 || !isDeepStrictEqual({ ...last, notified: "" }, view))
      this.#say(row([this.seconds.toFixed(1), ...Object.values(view)]));
    this.#seen.push(view);
    return view;
  }

  /** Looks again and again. @returns whether `isEnough` came true within `seconds` */
  async lookUntil(isEnough: (view: View) => boolean, seconds: number): Promise<boolean> {
    const deadline = performance.now() + seconds * 1000;
    for (;;) {
      if (isEnough(await this.look())) return true;
      if (performance.now() > deadline) return false;
      await delay(EVERY_MS);
    }
  }

  /** Says what was not seen and should have been. @param alert null where the outage is too short for it */
  faults(expected: { ready: string; health: string; alert: string | null }): string[] {
    const saw = (has: (view: View) => boolean) => this.#seen.some(has);
    return [
      this.#seen.every(({ live }) => live === "200 live") ? "" : "/live was not always 200",
      saw(({ ready }) => ready.startsWith(expected.ready)) ? "" : `/ready never was ${expected.ready}`,
      saw(({ health }) => health === expected.health) ? "" : `/health never was ${expected.health}`,
      expected.alert === null || saw(({ firing }) => firing.split(", ").includes(expected.alert as string))
        ? ""
        : `${expected.alert} did not fire`,
    ].filter((fault) => fault !== "");
  }
}

/**
 * Stops each dependency for some seconds, and prints what is seen.
 * @param factor the rules' hurry, which decides whether an alert can fire in that time
 * @returns what was not as it should be
 */
export async function playOutages(
  system: WatchedSystem,
  watch: Watch,
  { seconds, factor, say }: { seconds: number; factor: number; say: (line: string) => void },
): Promise<string[]> {
  const alerts = alertsOf(rulesOf(await readFile("monitoring/alerts.yml", "utf8")));
  const faults: string[] = [];
  const pids = system.pids();
  for (const dependency of system.dependencies) {
    const { name } = dependency;
    const { alert, ...expected } = EXPECTED[name];
    const patience = alerts.find((rule) => rule.alert === alert)?.for as string;
    // Scrapes, evaluations and the question take some seconds more.
    const canFire = secondsOf(patience) / factor + 8 < seconds;
    say(
      `\n${name} is stopped for ${seconds} s${canFire ? "" : `: too short for ${alert}, which waits ${patience}`}`,
    );
    say(row(HEAD));
    const outage = new Outage(system, watch, say);
    await outage.look();
    await dependency.stop();
    say(`${outage.seconds.toFixed(1)} — ${name} is stopped`);
    await outage.lookUntil(() => false, seconds);
    await dependency.start();
    say(`${outage.seconds.toFixed(1)} — ${name} runs again`);
    const well = await outage.lookUntil(
      ({ ready, health, tasksReady, firing }) =>
        ready === "200 ready" && health === "200 ok" && tasksReady === "200 ready" && firing === "",
      RECOVERY_S,
    );
    const found = outage.faults({ ...expected, alert: canFire ? alert : null });
    if (!well) found.push(`not well again within ${RECOVERY_S} s`);
    // What the rules resolved is sent some seconds later.
    if (canFire && !(await outage.lookUntil(() => isTold(watch, alert), RECOVERY_S)))
      found.push(`${alert} was not sent, or its end was not`);
    faults.push(...found.map((fault) => `${name}: ${fault}`));
  }
  if (!isDeepStrictEqual(system.pids(), pids)) faults.push("a node did not survive");
  else say(`\nNo node was started again: ${Object.keys(pids).length} processes, the same as before.`);
  return faults;
}

/** Whether the receivers got the alert and its end. */
const isTold = ({ sent }: Watch, alert: string): boolean =>
  ["firing", "resolved"].every((status) => sent.some((line) => line.startsWith(`${alert} ${status} `)));
