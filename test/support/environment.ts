import type { Circus } from "@jest/types";
import { TestEnvironment } from "jest-environment-node";
import { until } from "../../local/until.ts";

/** Kinds of handles that a test file must not leave open. */
const WATCHED = /TCP|TLS|Pipe|Process|Timeout|UDP|FSWatcher|Worker/;
/** The timer of the wait below. */
const OWN_TIMERS = 1;

const open = (): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo())
    if (WATCHED.test(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
};

/** Fails a file that leaks: a forgotten server, client, timer or process keeps a real program from ending, too. */
export default class LeakCheckingEnvironment extends TestEnvironment {
  #before = new Map<string, number>();

  async handleTestEvent(event: Circus.AsyncEvent | Circus.SyncEvent, state: Circus.State): Promise<void> {
    if (event.name === "run_start") this.#before = open();
    if (event.name !== "run_finish") return;
    const allowed = (kind: string) => (this.#before.get(kind) ?? 0) + (kind === "Timeout" ? OWN_TIMERS : 0);
    const leaks = () => [...open()].filter(([kind, count]) => count > allowed(kind));
    if (await until(() => leaks().length === 0, 10_000)) return;
    const list = leaks().map(([kind, count]) => `${count} × ${kind}`);
    state.unhandledErrors.push(new Error(`this file leaks handles: ${list.join(", ")}`));
  }
}
