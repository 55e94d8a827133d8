/** What tasks refer to and the database's foreign keys can't judge: who may be assigned, whose category it is. */
import { invalidField, Problem } from "../../core/errors.ts";
import { type ActionContext, type Actor, reaches, type Role } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import type { Write } from "../../mixins/event-log.ts";
import { users } from "../users/users.contract.ts";
import { ownCategories } from "./categories.queries.ts";
import type { TaskInput } from "./tasks.contract.ts";
import { membersOf, mustBeAllowedIn, type ProjectStanding } from "./tasks.queries.ts";

/** What is known of the users and categories that a request names. */
export interface References {
  people: { id: string; is_active: boolean; role: Role }[];
  members: { project_id: string; user_id: string }[];
  /** Those that are the caller's own. */
  categories: string[];
}

export interface Assignable {
  project_id: string | null;
  assigned_to: string | null;
  category_id: string | null;
}

/** Looks up at once what some operations name: at the most one call and two queries, and none where nothing is named. */
export async function readReferences(
  ctx: ActionContext<object, Actor>,
  db: Queryable,
  named: { assignees: string[]; categories: string[]; projects: string[] },
): Promise<References> {
  const assignees = [...new Set(named.assignees)];
  const [people, members, categories] = await Promise.all([
    assignees.length === 0 ? [] : users.call(ctx, "people", { ids: assignees }),
    assignees.length === 0 || named.projects.length === 0 ? [] : membersOf(db, named.projects, assignees),
    named.categories.length === 0 ? [] : ownCategories(db, ctx.locals.actor, named.categories),
  ]);
  return { people, members, categories };
}

/**
 * The assignee must exist, be active, and be able to see the task's project (contract.md §5).
 * @throws Problem validation-failed
 */
function checkAssignee({ project_id }: Assignable, userId: string, { people, members }: References): void {
  const person = people.find(({ id }) => id === userId);
  if (person?.is_active !== true)
    throw invalidField("assigned_to", "assignee", "There is no active user with this id");
  const isMember = members.some((one) => one.user_id === userId && one.project_id === project_id);
  if (project_id !== null && person.role === "user" && !isMember)
    throw invalidField("assigned_to", "assignee", "This user can't see the task's project");
}

/** @throws Problem validation-failed */
function checkCategory(id: string, { categories }: References): void {
  if (!categories.includes(id))
    throw invalidField("category_id", "category", "You have no category with this id");
}

/** Who may create this where. @throws Problem forbidden, project-archived */
export function checkCreation(write: Write, within: ProjectStanding | null, input: TaskInput): void {
  if (within === null) {
    if (!reaches(write.actor, null)) throw new Problem("forbidden", "This token is limited to some projects");
    return;
  }
  mustBeAllowedIn(write.actor, within, "create");
  if (input.assigned_to != null) mustBeAllowedIn(write.actor, within, "assign");
  if (within.status === "archived") throw new Problem("project-archived");
}

/** Whether a task may come to refer to what `input` names. @throws Problem validation-failed */
export function checkReferences(
  task: Assignable,
  { assigned_to, category_id }: Partial<TaskInput>,
  references: References,
): void {
  if (assigned_to != null && assigned_to !== task.assigned_to) checkAssignee(task, assigned_to, references);
  if (category_id != null && category_id !== task.category_id) checkCategory(category_id, references);
}
