/** What tasks refer to and the database's foreign keys can't judge: who may be assigned, whose category it is. */
import { invalidField, Problem } from "../../core/errors.ts";
import { reaches, type Role, type UserContext } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import type { WriteContext } from "../../mixins/event-log.ts";
import { users } from "../users/users.contract.ts";
import { ownCategories } from "./categories.queries.ts";
import type { TaskInput } from "./tasks.contract.ts";
import { membersOf, mustBeAllowedIn, type ProjectStanding, sharing } from "./tasks.queries.ts";

/** What is known of the users and categories that a request names. */
export interface References {
  people: { id: string; is_active: boolean; role: Role }[];
  members: { project_id: string; user_id: string }[];
  /** Which assignee shares a project with which creator of a personal task. */
  sharing: { creator: string; assignee: string }[];
  /** Those that are the caller's own. */
  categories: string[];
}

export interface Assignable {
  project_id: string | null;
  created_by: string;
  assigned_to: string | null;
  category_id: string | null;
}

/** Looks up at once what a request names: at the most one call and two queries, and none where nothing is named. */
export async function readReferences(
  ctx: UserContext,
  db: Queryable,
  named: {
    assignees: string[];
    categories: string[];
    tasks: Pick<Assignable, "project_id" | "created_by">[];
  },
): Promise<References> {
  const assignees = [...new Set(named.assignees)];
  const [people, sight, categories] = await Promise.all([
    assignees.length === 0 ? [] : users.call(ctx, "people", { ids: assignees }),
    readSight(
      db,
      named.tasks.flatMap((task) => assignees.map((assigned_to) => ({ ...task, assigned_to }))),
    ),
    named.categories.length === 0 ? [] : ownCategories(db, ctx.locals.actor, named.categories),
  ]);
  return { people, ...sight, categories };
}

/** What some assignments are judged by: one query for those in projects, and one for those of personal tasks. */
export async function readSight(
  db: Queryable,
  assignments: { project_id: string | null; created_by: string; assigned_to: string }[],
): Promise<Pick<References, "members" | "sharing">> {
  const inProjects = assignments.filter(({ project_id }) => project_id !== null);
  const personal = assignments.filter(({ project_id }) => project_id === null);
  const assignees = (some: typeof assignments) => [...new Set(some.map(({ assigned_to }) => assigned_to))];
  const projects = [...new Set(inProjects.map(({ project_id }) => project_id as string))];
  const [members, shared] = await Promise.all([
    inProjects.length === 0 ? [] : membersOf(db, projects, assignees(inProjects)),
    personal.length === 0
      ? []
      : sharing(db, [...new Set(personal.map(({ created_by }) => created_by))], assignees(personal)),
  ]);
  return { members, sharing: shared };
}

/**
 * The assignee must exist, be active, and be able to see the task's project, or share a project with the creator of a
 * personal task (docs/reference.md, Assignment): strangers push nothing into each other's lists.
 * @throws Problem validation-failed
 */
function checkAssignee(
  { project_id, created_by }: Assignable,
  userId: string,
  { people, members, sharing }: References,
): void {
  const person = people.find(({ id }) => id === userId);
  if (person?.is_active !== true)
    throw invalidField("assigned_to", "assignee", "There is no active user with this id");
  if (project_id === null) {
    const shares = sharing.some((pair) => pair.creator === created_by && pair.assignee === userId);
    if (userId !== created_by && !shares)
      throw invalidField("assigned_to", "assignee", "This user shares no project with the task's creator");
    return;
  }
  const isMember = members.some((one) => one.user_id === userId && one.project_id === project_id);
  if (person.role === "user" && !isMember)
    throw invalidField("assigned_to", "assignee", "This user can't see the task's project");
}

/** @throws Problem validation-failed */
function checkCategory(id: string, { categories }: References): void {
  if (!categories.includes(id))
    throw invalidField("category_id", "category", "You have no category with this id");
}

/** Who may create this where. @throws Problem forbidden, project-archived */
export function checkCreation(write: WriteContext, within: ProjectStanding | null, input: TaskInput): void {
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
