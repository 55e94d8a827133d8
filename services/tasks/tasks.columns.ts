import { defineColumns } from "../../mixins/columns.ts";
import type { Task, TaskChanges, TaskInput } from "./tasks.contract.ts";

/** A row of tasks.tasks: the database layer already gives timestamps as the contract writes them. */
export interface TaskRow extends Omit<Task, "deleted_at"> {
  deleted_at: string | null;
}

export const taskColumns = defineColumns<TaskRow, TaskInput, Exclude<keyof TaskChanges, keyof TaskInput>>({
  id: { type: "uuid", once: true },
  title: { type: "text", required: true },
  description: { type: "text", default: null },
  status: { type: "text", default: "pending" },
  priority: { type: "text", default: "medium" },
  project_id: { type: "uuid", once: true },
  category_id: { type: "uuid", default: null },
  created_by: { type: "uuid", once: true },
  assigned_to: { type: "uuid", default: null },
  due_date: { type: "timestamptz", default: null },
  completed_at: { type: "timestamptz", told: true },
  position: { type: "text", told: true },
  version: { type: "int" },
  created_at: { type: "timestamptz", once: true },
  updated_at: { type: "timestamptz" },
  deleted_at: { type: "timestamptz" },
});
