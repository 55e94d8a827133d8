/** Methods of the service, for its actions. */
import type { Service } from "moleculer";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { Lines } from "../../core/lines.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import { viewerOf, viewOf, type WithCache } from "../../mixins/cache.ts";
import type { WithDatabase } from "../../mixins/database.ts";
import { emitCommitted } from "../../mixins/event-log.ts";
import type { Batch } from "./batches.commands.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Written } from "./tasks.commands.ts";
import type { Task } from "./tasks.contract.ts";
import { outdatedBy } from "./tasks.events.ts";
import { listTasks, type TaskFilter } from "./tasks.list.ts";

/** `this` of the actions: it has what the mixins and the methods below lend. */
export interface TasksLend extends WithDatabase, WithCache {
  snapshots: Snapshots;
  /** Of the moves of each order. */
  lines: Lines;
  publish<Answer>(written: Written<Answer>): Promise<Answer>;
  publishBatch(batch: Batch): Promise<boolean>;
  list(actor: Actor, params: TaskFilter & PageOf): Promise<Page<Task>>;
}

type This = Service & TasksLend;

export const methods = {
  /**
   * Outdates cached answers, and sends the committed events to the notifiers. The marks are on their way to the cache
   * before the hint is, so no event waits for them; the write's answer does.
   * @returns the write's answer
   */
  async publish<Answer>(this: This, { answer, events }: Written<Answer>): Promise<Answer> {
    const outdated = this.outdate(events.flatMap(outdatedBy));
    emitCommitted(this.broker, events);
    await outdated;
    return answer;
  },

  /** @returns whether another call may find more to do */
  publishBatch(this: This, { events, more }: Batch): Promise<boolean> {
    return this.publish({ answer: more, events });
  },

  /** A list; the first page of a project or of one of its columns comes from the cache, since boards ask for it often. */
  async list(
    this: This,
    actor: Actor,
    { limit, offset, cursor, sort, ...filter }: TaskFilter & PageOf,
  ): Promise<Page<Task>> {
    const page = { limit, offset, cursor, sort };
    const read = () => listTasks(this.db, actor, filter, page);
    const project = filter.project ?? filter.project_id;
    const isFirst = !cursor && !offset;
    // A task becomes overdue without a write, and a slug may come to name another project.
    if (project === undefined || !isId(project) || !isFirst || filter.overdue !== undefined) return read();
    const key = `task-page:${viewerOf(actor)}:${JSON.stringify([filter, page])}`;
    return this.cached(key, [`tasks-of:${project.toLowerCase()}`, ...viewOf(actor)], read);
  },
};
