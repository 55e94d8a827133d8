/** `npm run dashboards`: writes the dashboards of monitoring/dashboards.ts as Grafana reads them. */
import { writeFile } from "node:fs/promises";
import { DASHBOARDS } from "../monitoring/dashboards.ts";
import { fileOf, grafanaText } from "../monitoring/grafana.ts";

for (const dashboard of DASHBOARDS) {
  await writeFile(fileOf(dashboard), grafanaText(dashboard));
  console.log(`${fileOf(dashboard).pathname}: ${dashboard.panels.length} panels`);
}
