import type { Person } from "../users/users.contract.ts";
import type { TaskRow } from "./tasks.columns.ts";
import type { Task, TaskDetail } from "./tasks.contract.ts";

/** A task with the names and the count that its detail shows; people belong to another service. */
export interface DetailRow extends TaskRow {
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

/** @param people the users that the task names, as far as they were found */
export function detailView(row: DetailRow, people: Person[]): TaskDetail {
  const { project_id, category_id, category_name } = row;
  const person = (id: string): Person => {
    const { username = "", first_name = null, last_name = null } = people.find((one) => one.id === id) ?? {};
    return { id, username, first_name, last_name };
  };
  return {
    ...taskView(row),
    project: project_id && { id: project_id, slug: row.project_slug ?? "", name: row.project_name ?? "" },
    creator: person(row.created_by),
    assignee: row.assigned_to && person(row.assigned_to),
    // A category that was deleted a moment ago has no name any more.
    category:
      category_name === null ? null : { id: category_id, name: category_name, color: row.category_color },
    comment_count: row.comment_count,
  } as TaskDetail;
}
