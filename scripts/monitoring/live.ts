/** A cluster under load, watched by a real Prometheus and Alertmanager. */
import { setTimeout as delay } from "node:timers/promises";
import type { Starting } from "../../local/program.ts";
import { isThere, mustHave } from "../containers/commands.ts";
import { startLoad } from "./load.ts";
import { playOutages } from "./outages.ts";
import { showPanels } from "./panels.ts";
import { startWatch } from "./prometheus.ts";
import { startWatchedSystem } from "./system.ts";

/** Seconds of load before the panels are read, at least and at most. */
const [LEAST_S, MOST_S] = [60, 200];
/** A job has run twice: an increase has two samples by then. Jobs run each minute. */
const HAS_JOBS = 'increase(taskwire_job_duration_seconds_count{queue="announce-due"}[1h]) > 0';

/**
 * Reads each panel, and plays the outages.
 * @param factor by which the rules are in a hurry
 * @param seconds of each outage
 * @throws Error a line for each panel without data, and for each thing that was not seen
 */
export async function watchLive(
  starting: Starting,
  { factor, seconds }: { factor: number; seconds: number },
): Promise<void> {
  const { say, own, signal } = starting;
  mustHave("prometheus");
  const alertmanager = ["alertmanager", "prometheus-alertmanager"].find(isThere);
  if (alertmanager === undefined)
    throw new Error("alertmanager is missing. Debian: apt-get install prometheus-alertmanager");

  const system = await startWatchedSystem(starting);
  const watch = await startWatch(starting, system, factor, alertmanager);
  const load = await startLoad(system);
  own({ name: "the load", stop: () => Promise.resolve(load.stop()) });
  const nodes = Object.keys(system.targets);
  say(`\n${nodes.length} nodes under load, until a job has run twice: ${nodes.join(", ")}`);
  say(
    factor === 1
      ? "The rules are those of monitoring/alerts.yml."
      : `Each duration in the rules and each wait of Alertmanager is shorter by the factor ${factor} in this run; a range has 5 s at least.`,
  );
  await delay(LEAST_S * 1000, null, { signal });
  for (let at = LEAST_S; at < MOST_S && (await watch.query(HAS_JOBS)).length === 0; at++)
    await delay(1000, null, { signal });

  const faults = (await showPanels(watch, say)).map((panel) => `${panel} has no data`);
  const answers = (): string =>
    [...load.statuses].map(([status, count]) => `${count} × ${status}`).join(", ");
  say(`\nThe load so far: ${answers()}; ${load.events()} events at its sockets.`);
  const firing = await watch.firing();
  if (firing.length > 0) faults.push(`alerts fire before anything is stopped: ${firing.join(", ")}`);

  faults.push(...(await playOutages(system, watch, { seconds, factor, say })));
  say(`The load in all: ${answers()}; ${load.events()} events at its sockets.`);
  if (faults.length > 0) throw new Error(faults.join("\n"));
}
