import type { Person } from "../users/users.contract.ts";
import type { TaskRow } from "./tasks.columns.ts";
import type { Task, TaskDetail } from "./tasks.contract.ts";

/** A task with the names and the count that its detail shows. */
export interface DetailRow extends TaskRow {
  creator: Person;
  assignee: Person | null;
  project_slug: string | null;
  project_name: string | null;
  category_name: string | null;
  category_color: string | null;
  comment_count: number;
}

/** The texts of a redacted row, of each text that a client may set; the log has null in their place. */
export const REDACTED = {
  task: { title: "[redacted]", description: null },
  comment: { body: "[redacted]" },
} as const;

/** The task as lists and events show it. */
export function taskView(row: TaskRow): Task {
  return {
    id: row.id,
    title: row.title,
    description: row.description,
    status: row.status,
    priority: row.priority,
    project_id: row.project_id,
    category_id: row.category_id,
    created_by: row.created_by,
    assigned_to: row.assigned_to,
    due_date: row.due_date,
    completed_at: row.completed_at,
    position: row.position,
    version: row.version,
    created_at: row.created_at,
    updated_at: row.updated_at,
    ...(row.deleted_at !== null && { deleted_at: row.deleted_at }),
  };
}

export function detailView(row: DetailRow): TaskDetail {
  const { project_id, category_id, category_name } = row;
  return {
    ...taskView(row),
    project: project_id && { id: project_id, slug: row.project_slug ?? "", name: row.project_name ?? "" },
    creator: row.creator,
    assignee: row.assignee,
    // A category that was deleted a moment ago has no name any more.
    category:
      category_name === null ? null : { id: category_id, name: category_name, color: row.category_color },
    comment_count: row.comment_count,
  } as TaskDetail;
}
