import { Problem } from "../../core/errors.ts";
import { cursorOf, positionOf } from "../../core/events.ts";
import { actionsOf, type UserContext } from "../../core/kit.ts";
import { omitUndefined } from "../../core/rules.ts";
import { userStream } from "../../mixins/event-log.ts";
import { logPage } from "../../mixins/event-log.queries.ts";
import {
  eventPage,
  eventStreamRules,
  logPageParams,
  logPageRules,
  PAGE_NOTES,
  STREAM_NOTES,
} from "../events.ts";
import { MAX_STREAMS, tooManyStreams } from "./handshake.ts";
import { longPoll } from "./long-poll.ts";
import type { NotifierContract } from "./notifier.contract.ts";
import { followRules, MAX_WAIT_S, syncRules } from "./notifier.params.ts";
import type { Notifier } from "./notifier.state.ts";
import { sync } from "./sync.answers.ts";
import { answerOf } from "./sync.ts";

/** Milliseconds that a caller gives a sync: its wait, and the reads before and after. */
const SYNC_TIMEOUT_MS = (MAX_WAIT_S + 8) * 1000;

/** Events that a response of server-sent events takes at once. */
const FOLLOWED_EVENTS = 50;

export const notifierActions = actionsOf<NotifierContract, Notifier>()<
  "list_events" | "sync" | "stream_events" | "follow"
>({
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

  sync: {
    auth: "user",
    safe: true,
    projectBound: true,
    timeout: SYNC_TIMEOUT_MS,
    rules: syncRules,
    docs: {
      summary: "Read what happened in all your streams",
      description:
        "What comes after your cursors, in every stream that you may read: your own, and those of your projects. Without a socket, a client keeps `cursors` and sends them again. With `wait` the response comes with the first event, or after so many seconds. It changes nothing, so it can be sent again.",
      answer: sync,
      problems: ["too-many-streams"],
    },
    async handler(ctx) {
      const { cursors = {}, limit = 100, wait = 0 } = ctx.params;
      const positions = new Map(Object.entries(cursors).map(([name, text]) => [name, positionOf(text)]));
      if (positions.size > MAX_STREAMS) throw tooManyStreams();
      return answerOf(await longPoll(this, ctx, positions, { limit, waitMs: wait * 1000 }));
    },
  },

  stream_events: {
    auth: "user",
    safe: true,
    rules: eventStreamRules,
    docs: {
      summary: "Follow your own events",
      description: `The events of your stream \`user:<id>\`, as they happen. ${STREAM_NOTES}`,
      answer: null,
    },
    handler(ctx) {
      return { ...omitUndefined(ctx.params), stream: userStream(ctx.locals.actor.id) };
    },
  },

  follow: {
    auth: "internal",
    safe: true,
    timeout: SYNC_TIMEOUT_MS,
    rules: followRules,
    async handler(ctx) {
      const { stream, after, wait } = ctx.params;
      const { actor } = ctx.locals;
      if (actor === null) throw new Problem("unauthenticated");
      const cursors = new Map(after === undefined ? [] : [[stream, positionOf(after)] as const]);
      const options = { limit: FOLLOWED_EVENTS, only: stream, waitMs: wait * 1000 };
      const { events, positions, reset } = await longPoll(this, ctx as UserContext, cursors, options);
      const position = positions.get(stream);
      return { events, cursor: position ? cursorOf(position) : null, isReset: reset.length > 0 };
    },
  },
});
