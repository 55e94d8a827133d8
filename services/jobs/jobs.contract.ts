import type { ServiceContract } from "../../core/kit.ts";

/** No service calls the jobs: they run by their schedule. */
export interface JobsContract extends ServiceContract {
  name: "jobs";
  actions: Record<never, never>;
}
