/** References of tasks that foreign keys can't judge: whether a user may be assigned, and whose a category is. */
import { invalidField } from "../../core/errors.ts";
import type { Role, UserContext } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { users } from "../users/users.contract.ts";
import { ownCategories } from "./categories.queries.ts";
import type { TaskInput } from "./tasks.contract.ts";

/** The users, memberships and categories that the references of a request are checked by. */
export interface References {
  people: { id: string; is_active: boolean; role: Role }[];
  members: { project_id: string; user_id: string }[];
  /** Pairs that share a project. */
  sharing: { creator: string; assignee: string }[];
  /** The caller's own. */
  categories: string[];
}

export interface Assignable {
  project_id: string | null;
  created_by: string;
  assigned_to: string | null;
  category_id: string | null;
}

/** Looks up all that a request names at once: one call and two queries for a task, none when it names nothing. */
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

/** The memberships that assignments are checked by: one query for projects, and one for personal tasks. */
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
 * An assignee is an active user who can see the task's project, or who shares a project with the creator of a personal
 * task (docs/reference.md, Assignment): strangers push nothing into each other's lists.
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

/** Checks what a task does not refer to yet. @throws Problem validation-failed */
export function checkReferences(
  task: Assignable,
  { assigned_to, category_id }: Partial<TaskInput>,
  references: References,
): void {
  if (assigned_to != null && assigned_to !== task.assigned_to) checkAssignee(task, assigned_to, references);
  if (category_id != null && category_id !== task.category_id) checkCategory(category_id, references);
}

/** Memberships of these users in these projects. Plan: primary keys of members and projects. */
async function membersOf(
  db: Queryable,
  projectIds: string[],
  userIds: string[],
): Promise<{ project_id: string; user_id: string }[]> {
  return db.query({
    name: "tasks-members-of",
    text: `SELECT project_id, user_id FROM projects.memberships
           WHERE project_id = ANY ($1::uuid[]) AND user_id = ANY ($2::uuid[])`,
    values: [projectIds, userIds],
  });
}

/** Of these creators and assignees, the pairs who share a project. Plan: members_user_idx and members_pkey. */
async function sharing(
  db: Queryable,
  creators: string[],
  assignees: string[],
): Promise<{ creator: string; assignee: string }[]> {
  return db.query({
    name: "tasks-sharing",
    text: `SELECT c.id AS creator, a.id AS assignee
           FROM unnest($1::uuid[]) AS c (id) CROSS JOIN unnest($2::uuid[]) AS a (id)
           WHERE EXISTS (SELECT FROM projects.memberships theirs
                         JOIN projects.memberships ours ON ours.project_id = theirs.project_id
                         WHERE theirs.user_id = c.id AND ours.user_id = a.id)`,
    values: [creators, assignees],
  });
}
