import type { ServiceContract } from "../../core/kit.ts";

/** The notifier has no actions: it listens to hints, reads the log, and sends to sockets. */
export interface NotifierContract extends ServiceContract {
  name: "notifier";
  actions: Record<never, never>;
}
