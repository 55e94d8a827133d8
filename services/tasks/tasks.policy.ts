import { type Actor, reaches } from "../../core/kit.ts";
import { PROJECT_ROLES, type ProjectRole } from "../projects/projects.contract.ts";

/** `moderate` deletes comments of others, `redact` takes texts out of the log, `delete` restores as well. */
export type TaskVerb = "read" | "create" | "edit" | "assign" | "delete" | "comment" | "moderate" | "redact";

/** The facts that a caller's rights to a task, or to a project's tasks, depend on. */
export interface TaskStanding {
  /** Null for a personal task, which its creator and its assignee share. */
  project_id: string | null;
  /** The caller's; null for a caller who is not a member. */
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

const IN_WORDS: Record<TaskVerb, string> = {
  read: "read",
  create: "create",
  edit: "edit",
  assign: "assign",
  delete: "delete or restore",
  comment: "comment on",
  moderate: "delete others' comments on",
  redact: "redact",
};

/** The detail of a refusal, for a caller who may see the task or its project. */
export function whyNot(verb: TaskVerb, { project_id, project_role }: TaskStanding): string {
  if (project_id === null) return `Only the creator of a personal task may ${IN_WORDS[verb]} it`;
  const [least] = PROJECT_ROLES.filter((role) => PROJECT[role].includes(verb));
  const own = project_role === null ? "you are not a member" : `yours is ${project_role}`;
  return `You need the role ${least} in the project to ${IN_WORDS[verb]} its tasks; ${own}`;
}

/** The facts for all tasks of a project. */
export const inProject = ({
  id,
  project_role,
}: {
  id: string;
  project_role: ProjectRole | null;
}): TaskStanding => ({ project_id: id, project_role, created_by: "", assigned_to: null });

/** Closed by default: a verb that no line grants is refused. */
export function may(actor: Actor, verb: TaskVerb, task: TaskStanding): boolean {
  if (!reaches(actor, task.project_id)) return false;
  if (actor.role === "admin") return true;
  if (actor.role === "manager" && GLOBAL_MANAGER.includes(verb)) return true;
  if (task.project_id !== null)
    return task.project_role !== null && PROJECT[task.project_role].includes(verb);
  if (task.created_by === actor.id) return CREATOR.includes(verb);
  return task.assigned_to === actor.id && ASSIGNEE.includes(verb);
}
