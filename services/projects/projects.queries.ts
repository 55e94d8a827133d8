import { missing, Problem } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import { type Actor, reaches } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { VISIBLE, type VisibleProject } from "./projects.columns.ts";
import type { ProjectRole } from "./projects.contract.ts";
import { may, type ProjectVerb, whyNot } from "./projects.policy.ts";

/**
 * A project by id or slug with the caller's role in it, if the caller may `verb` it. Plan: primary key or slug, then the
 * primary key of members.
 * @param deleted looks among the deleted projects instead
 * @param lock holds the project's row; an INSERT of a task, which refers to the project, doesn't wait for this lock
 * @throws Problem not-found for a project that isn't there or that the caller may not know of; forbidden; conflict for a
 *   slug that several deleted projects have
 */
export async function findProject(
  db: Queryable,
  actor: Actor,
  project: string,
  verb: ProjectVerb,
  { deleted = false, lock = false } = {},
): Promise<VisibleProject> {
  const key = isId(project) ? "id" : "slug";
  const rows = await db.query<VisibleProject>({
    name: `projects-by-${key}${deleted ? "-deleted" : ""}${lock ? "-locked" : ""}`,
    text: `SELECT ${VISIBLE}
           FROM projects.projects t LEFT JOIN projects.members m ON m.project_id = t.id AND m.user_id = $2
           WHERE t.${key} = $1 AND t.deleted_at IS ${deleted ? "NOT NULL" : "NULL"}
           ${lock ? "FOR NO KEY UPDATE OF t" : ""}`,
    values: [project, actor.id],
  });
  const seen = rows.filter(({ id, role }) => reaches(actor, id) && may(actor, "read", role));
  const [first] = seen;
  if (first === undefined) throw missing("project", project);
  const [row, another] = seen.filter(({ role }) => may(actor, verb, role));
  if (row === undefined) throw new Problem("forbidden", whyNot(verb, first.role));
  if (another !== undefined)
    throw new Problem("conflict", "Several deleted projects have this slug: use the project's id");
  return row;
}

/** Those projects of `ids` that the caller may see. Plan: primary keys. */
export async function readableProjects(db: Queryable, actor: Actor, ids: string[]): Promise<string[]> {
  const rows = await db.query<{ id: string; role: ProjectRole | null }>({
    name: "projects-readable",
    text: `SELECT p.id, m.role
           FROM projects.projects p LEFT JOIN projects.members m ON m.project_id = p.id AND m.user_id = $2
           WHERE p.id = ANY ($1::uuid[]) AND p.deleted_at IS NULL`,
    values: [ids, actor.id],
  });
  return rows.filter(({ role }) => may(actor, "read", role)).map(({ id }) => id);
}

/** The project that was deleted first, before a time (ISO 8601), and is not in `except`. Plan: projects_deleted_idx. */
export async function findPurgeable(
  db: Queryable,
  before: string,
  except: Iterable<string>,
): Promise<string | null> {
  const [row] = await db.query<{ id: string }>({
    name: "projects-purgeable",
    text: `SELECT id FROM projects.projects WHERE deleted_at < $1 AND id <> ALL ($2::uuid[])
           ORDER BY deleted_at LIMIT 1`,
    values: [before, [...except]],
  });
  return row?.id ?? null;
}
