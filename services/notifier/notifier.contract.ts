import type { EventPage } from "../../core/events.ts";
import type { ServiceContract } from "../../core/kit.ts";

/** What the notifier answers over HTTP: the log that it sends to sockets. */
export interface NotifierContract extends ServiceContract {
  name: "notifier";
  actions: {
    list_events: { params: { after?: string; limit?: number }; result: EventPage };
  };
}
