import type { Task } from "./tasks.contract.ts";

/** A row of tasks.tasks: the database layer already gives timestamps as the contract writes them. */
export interface TaskRow extends Task {
  deleted_at: string | null;
}

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
    version: row.version,
    created_at: row.created_at,
    updated_at: row.updated_at,
  };
}
