import type { ServiceContract } from "../../core/kit.ts";

/** Nobody calls the notifier: it listens to hints, reads the log, and speaks to sockets. */
export interface NotifierContract extends ServiceContract {
  name: "notifier";
  actions: Record<never, never>;
}
