/**
 * `npm run monitoring:check`: Prometheus' and Alertmanager's own tools read what lies in monitoring/, the alerts take their
 * unit tests, and each panel's query is parsed. A line for each step.
 *
 * `-- --live` also starts a cluster under a bounded load, and a real Prometheus and Alertmanager that watch it. It prints
 * each panel with its number, stops Postgres, NATS and Redis in turn (`--outage 20` seconds), and prints what probes and
 * alerts say at each step. `--hasten 10` makes each duration in the rules shorter by that factor, so that an outage of
 * seconds is what one of minutes is to the rules of production; without it alerts are as patient as there.
 */
import { parseArgs } from "node:util";
import { explain } from "../core/explain.ts";
import { Program, type Starting } from "../local/program.ts";
import { DASHBOARDS } from "../monitoring/dashboards.ts";
import { mustHave, run, step } from "./containers/commands.ts";
import { watchLive } from "./monitoring/live.ts";
import { selectorsOf, withInterval } from "./monitoring/promql.ts";

/** @throws Error what a tool or the grammar refuses */
async function checkFiles(): Promise<void> {
  mustHave("amtool", "promtool");
  const lastLine = (output: string): string => output.trimEnd().split("\n").at(-1)?.trim() ?? "";
  for (const file of ["prometheus.yml", "prometheus.local.yml"])
    await step("config", () => run("promtool", ["check", "config", `monitoring/${file}`]), lastLine);
  await step("rules", () => run("promtool", ["check", "rules", "monitoring/alerts.yml"]), lastLine);
  await step("rule tests", () => run("promtool", ["test", "rules", "monitoring/alerts.test.yml"]), lastLine);
  await step(
    "alertmanager",
    () => run("amtool", ["check-config", "monitoring/alertmanager.yml"]),
    (output) => output.split("\n")[0] as string,
  );
  const queries = DASHBOARDS.flatMap(({ panels }) => panels.flatMap((panel) => panel.queries));
  await step(
    "dashboards",
    () => Promise.resolve(queries.map(({ expr }) => selectorsOf(withInterval(expr, "1m")))),
    () => `${DASHBOARDS.length} dashboards, ${queries.length} queries`,
  );
}

/** A number of the command line. @throws Error with what it must be */
function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value >= 1)) throw new Error(`--${name} is a number of at least 1, not ${text}`);
  return value;
}

async function check(starting: Starting): Promise<void> {
  const { values } = parseArgs({
    options: {
      live: { type: "boolean", default: false },
      hasten: { type: "string", default: "1" },
      outage: { type: "string", default: "20" },
    },
  });
  const [factor, seconds] = [positive("hasten", values.hasten), positive("outage", values.outage)];
  await checkFiles();
  if (values.live) await watchLive(starting, { factor, seconds });
  starting.say("monitoring/ is sound.");
}

const program = new Program();
await program.run(check, explain);
await program.stop(null);
