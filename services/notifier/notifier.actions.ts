import { actionsOf } from "../../core/kit.ts";
import { userStream } from "../../mixins/event-log.ts";
import { logPage } from "../../mixins/event-log.queries.ts";
import { eventPage, logPageParams, logPageRules, PAGE_NOTES } from "../events.ts";
import type { NotifierContract } from "./notifier.contract.ts";
import type { NotifierState } from "./notifier.state.ts";

export const notifierActions = actionsOf<NotifierContract, NotifierState>()<"list_events">({
  list_events: {
    auth: "user",
    safe: true,
    rules: logPageRules,
    docs: {
      summary: "Read your own log",
      description:
        "The events after the cursor `after`, as your stream `user:<id>` carries them: personal tasks, assignments to you, memberships that you gain and lose. " +
        PAGE_NOTES,
      answer: eventPage,
      problems: ["log-rewritten"],
    },
    handler(ctx) {
      const { id } = ctx.locals.actor;
      return logPage(this.db, { stream: userStream(id), ...logPageParams(ctx.params), caller: id });
    },
  },
});
