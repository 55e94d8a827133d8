/** The dashboards of Taskwire. `npm run dashboards` writes them where Grafana reads them (monitoring/grafana/dashboards). */
import { api } from "./dashboards/api.ts";
import { data } from "./dashboards/data.ts";
import { jobs } from "./dashboards/jobs.ts";
import { overview } from "./dashboards/overview.ts";
import { realtime } from "./dashboards/realtime.ts";
import type { Dashboard } from "./grafana.ts";

export const DASHBOARDS: readonly Dashboard[] = [overview, api, realtime, data, jobs];
