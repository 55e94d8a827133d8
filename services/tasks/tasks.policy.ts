import { type Actor, reaches } from "../../core/kit.ts";
import { PROJECT_ROLES, type ProjectRole } from "../projects/projects.contract.ts";

/** `moderate`: remove what others commented. `redact`: take texts out of the log. Restoring is for who may delete. */
export type TaskVerb = "read" | "create" | "edit" | "assign" | "delete" | "comment" | "moderate" | "redact";

/** What decides who may do what with a task, or with a project's tasks. */
export interface TaskStanding {
  /** Null: a personal task, which its creator and its assignee share. */
  project_id: string | null;
  /** The caller's role in the project; null when they are no member. */
  project_role: ProjectRole | null;
  created_by: string;
  assigned_to: string | null;
}

const PROJECT: Record<ProjectRole, readonly TaskVerb[]> = {
  viewer: ["read"],
  member: ["read", "create", "edit", "comment"],
  manager: ["read", "create", "edit", "assign", "delete", "comment", "moderate", "redact"],
  owner: ["read", "create", "edit", "assign", "delete", "comment", "moderate", "redact"],
};
const CREATOR: readonly TaskVerb[] = ["read", "create", "edit", "assign", "delete", "comment", "redact"];
const ASSIGNEE: readonly TaskVerb[] = ["read", "edit", "comment"];
/** A global manager sees everything, and may edit and assign anywhere (docs/reference.md, Roles and permissions). */
const GLOBAL_MANAGER: readonly TaskVerb[] = ["read", "edit", "assign"];

const DOES: Record<TaskVerb, string> = {
  read: "Reading",
  create: "Creating",
  edit: "Editing",
  assign: "Assigning",
  delete: "Deleting or restoring",
  comment: "Commenting on",
  moderate: "Removing what others commented on",
  redact: "Taking texts out of the log of",
};

/** The detail of a refusal, for a caller who may see the task or its project. */
export function whyNot(verb: TaskVerb, { project_id, project_role }: TaskStanding): string {
  if (project_id === null) return `${DOES[verb]} a personal task is its creator's alone`;
  const [least] = PROJECT_ROLES.filter((role) => PROJECT[role].includes(verb));
  const own = project_role === null ? "you are no member of it" : `yours is ${project_role}`;
  return `${DOES[verb]} the project's tasks takes the role ${least} in it; ${own}`;
}

/** Closed by default: a verb that no line here grants is refused. */
export function may(actor: Actor, verb: TaskVerb, task: TaskStanding): boolean {
  if (!reaches(actor, task.project_id)) return false;
  if (actor.role === "admin") return true;
  if (actor.role === "manager" && GLOBAL_MANAGER.includes(verb)) return true;
  if (task.project_id !== null)
    return task.project_role !== null && PROJECT[task.project_role].includes(verb);
  if (task.created_by === actor.id) return CREATOR.includes(verb);
  return task.assigned_to === actor.id && ASSIGNEE.includes(verb);
}
