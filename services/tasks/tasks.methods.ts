/** Methods of the service, for its actions. */
import type { Service } from "moleculer";
import { cachedText } from "../../core/cached-answer.ts";
import type { JsonText } from "../../core/json-text.ts";
import type { Actor } from "../../core/kit.ts";
import type { PageOf } from "../../core/pagination.ts";
import type { WithDatabase } from "../../mixins/database.ts";
import { emitCommitted } from "../../mixins/event-log.ts";
import type { Batch } from "./batches.commands.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Standings } from "./standings.ts";
import type { Written } from "./tasks.commands.ts";
import { cachedTaskList } from "./tasks.contract.ts";
import { listTasks, type TaskFilter } from "./tasks.list.ts";
import type { Totals } from "./totals.ts";

/** `this` of the actions: it has what the mixins and the methods below lend. */
export interface TasksLend extends WithDatabase {
  snapshots: Snapshots;
  standings: Standings;
  totals: Totals;
  publish<Answer>(written: Written<Answer>): Answer;
  publishBatch(batch: Batch): boolean;
  list(actor: Actor, params: TaskFilter & PageOf): Promise<JsonText>;
}

type This = Service & TasksLend;

export const methods = {
  /** Sends the committed events to the notifiers. @returns the write's answer */
  publish<Answer>(this: This, { answer, events }: Written<Answer>): Answer {
    emitCommitted(this.broker, events);
    return answer;
  },

  /** @returns whether another call may find more to do */
  publishBatch(this: This, { events, more }: Batch): boolean {
    return this.publish({ answer: more, events });
  },

  async list(this: This, actor: Actor, params: TaskFilter & PageOf): Promise<JsonText> {
    const { limit, offset, cursor, sort, ...filter } = params;
    const page = await listTasks(this.db, actor, filter, { limit, offset, cursor, sort }, this.totals);
    return cachedText(cachedTaskList, params, actor, page);
  },
};
