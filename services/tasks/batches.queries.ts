/** Finding the tasks of a batch. Each read takes no more than `limit`. */
import type { Queryable } from "../../mixins/database.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { OPEN, PROJECT_THERE } from "./tasks.queries.ts";

/** Tasks of a category, except those that are deleted or whose project is. Plan: tasks_category_idx. */
export async function findCategorized(db: Queryable, categoryId: string, limit: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>({
    name: "tasks-categorized",
    slow: "bounded",
    text: `SELECT t.id FROM tasks.tasks t LEFT JOIN projects.summaries p ON p.id = t.project_id
           WHERE t.category_id = $1 AND t.deleted_at IS NULL AND ${PROJECT_THERE}
           ORDER BY t.id LIMIT $2`,
    values: [categoryId, limit],
  });
  return rows.map(({ id }) => id);
}

/**
 * Open tasks that are due until `until` and whose due date no event has told yet, locked; skips those that another node
 * holds. Plan: tasks_due_soon_idx.
 */
export function lockDueSoon(tx: Queryable, until: string, limit: number): Promise<TaskRow[]> {
  return tx.query({
    name: "tasks-due-soon",
    text: `SELECT ${taskColumns.selected} FROM tasks.tasks t LEFT JOIN projects.summaries p ON p.id = t.project_id
           WHERE t.due_date BETWEEN now() AND $1 AND t.deleted_at IS NULL AND ${OPEN}
             AND t.announced_due_date IS DISTINCT FROM t.due_date AND (t.project_id IS NULL OR p.status = 'active')
           ORDER BY t.due_date, t.id LIMIT $2 FOR UPDATE OF t SKIP LOCKED`,
    values: [until, limit],
  });
}

/** Tasks that are assigned to a user, except those that are deleted or whose project is. Plan: tasks_assigned_idx. */
export async function findAssigned(db: Queryable, userId: string, limit: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>({
    name: "tasks-assigned",
    slow: "bounded",
    text: `SELECT t.id FROM tasks.tasks t LEFT JOIN projects.summaries p ON p.id = t.project_id
           WHERE t.assigned_to = $1 AND t.deleted_at IS NULL AND ${PROJECT_THERE}
           ORDER BY t.id LIMIT $2`,
    values: [userId, limit],
  });
  return rows.map(({ id }) => id);
}
