/**
 * Totals of projects' lists that this node has counted, each with the place in the project's stream at which it did. All that
 * changes a task is an event there: while the stream has not moved, the list has as many tasks. The statement itself compares
 * the two (tasks.list.ts), in the snapshot that it reads the page from, so a total that it takes is the one that it would count.
 */
import { LRUCache } from "lru-cache";
import type { Actor } from "../../core/kit.ts";
import type { TaskFilters } from "./tasks.contract.ts";

/** Totals that a node remembers, and characters of a filter: nobody repeats a long one. */
const [MAX_TOTALS, MAX_KEY_LENGTH] = [10_000, 500];

type Filter = TaskFilters & { project?: string };

export interface Total {
  total: number;
  /** The number and the id of the project's last event. */
  head: number;
  last_id: string;
}

/** Names a project's list whose total depends on its tasks alone; null for one that depends on the time or the caller. */
function keyOf({ id }: Pick<Actor, "id">, filter: Filter): string | null {
  const { project, q, overdue, archived, include_deleted, ...rest } = filter;
  if (project === undefined || q !== undefined || overdue !== undefined || archived !== undefined)
    return null;
  if (include_deleted === true) return null;
  const key = JSON.stringify([project, { ...rest, ...(rest.assigned_to === "me" && { assigned_to: id }) }]);
  return key.length > MAX_KEY_LENGTH ? null : key;
}

export class Totals {
  readonly #known = new LRUCache<string, Total>({ max: MAX_TOTALS });

  find(actor: Pick<Actor, "id">, filter: Filter): Total | undefined {
    const key = keyOf(actor, filter);
    return key === null ? undefined : this.#known.get(key);
  }

  /** The tasks of a project when its statuses were counted last: few are counted among single reads. */
  readonly sizes = new LRUCache<string, number>({ max: MAX_TOTALS });

  /** Remembers the total of a list that its caller may see. */
  keep(actor: Pick<Actor, "id">, filter: Filter, total: Total): void {
    const key = keyOf(actor, filter);
    if (key !== null) this.#known.set(key, total);
  }
}
