import { remote, type ServiceContract } from "../../core/kit.ts";
import type { Page, PageParams } from "../../core/page.ts";

export const TASK_STATUSES = ["pending", "in_progress", "completed", "cancelled", "archived"] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const PRIORITIES = ["low", "medium", "high", "urgent"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** A task as lists and events show it (contract.md §5). */
export interface Task {
  id: string;
  title: string;
  description: string | null;
  status: TaskStatus;
  priority: Priority;
  project_id: string | null;
  category_id: string | null;
  created_by: string;
  assigned_to: string | null;
  due_date: string | null;
  completed_at: string | null;
  version: number;
  created_at: string;
  updated_at: string;
}

/** What a client may set. */
export interface TaskInput {
  title: string;
  description?: string | null;
  status?: TaskStatus;
  priority?: Priority;
  assigned_to?: string | null;
  due_date?: string | null;
}

export interface TasksContract extends ServiceContract {
  name: "tasks";
  actions: {
    create: { params: TaskInput & { project_id?: string | null }; result: Task };
    /** `project`: an id or a slug. */
    create_in_project: { params: TaskInput & { project: string }; result: Task };
    list: { params: PageParams & { project_id?: string; status?: TaskStatus[] }; result: Page<Task> };
    list_in_project: { params: PageParams & { project: string; status?: TaskStatus[] }; result: Page<Task> };
    get: { params: { id: string }; result: Task };
    patch: { params: Partial<TaskInput> & { id: string }; result: Task };
    assign: { params: { id: string; assigned_to: string | null }; result: Task };
    transition: { params: { id: string; to: TaskStatus }; result: Task };
    delete: { params: { id: string }; result: void };
    /** How many tasks of a project, which the caller may read, have which status. */
    count_by_status: { params: { project_id: string }; result: Record<TaskStatus, number> };
    /** Unassigns a batch of the tasks of a user who leaves, wherever they lie. True: call again, there may be more. */
    unassign_user: { params: { user_id: string }; result: boolean };
  };
}

export const tasks = remote<TasksContract>("tasks");
