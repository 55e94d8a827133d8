import type { ServiceContract } from "../../core/kit.ts";

/** Nobody calls the jobs: time does. */
export interface JobsContract extends ServiceContract {
  name: "jobs";
  actions: Record<never, never>;
}
