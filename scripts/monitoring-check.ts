/**
 * `npm run monitoring:check`: Prometheus' and Alertmanager's own tools read what lies in monitoring/, the alerts take their
 * unit tests, and each panel's query is parsed. A line for each step.
 */
import { explain } from "../core/explain.ts";
import { DASHBOARDS } from "../monitoring/dashboards.ts";
import { mustHave, run, step } from "./containers/commands.ts";
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

try {
  await checkFiles();
  console.log("monitoring/ is sound.");
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
