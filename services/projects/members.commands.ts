import { missing, Problem } from "../../core/errors.ts";
import type { CommittedEvent } from "../../core/events.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import { commit, type NewEvent, withEvents, type WriteContext } from "../../mixins/event-log.ts";
import { remembered } from "../../mixins/idempotency.ts";
import { memberColumns, type MemberRow } from "./members.columns.ts";
import { memberAdded, memberRemoved, memberUpdated } from "./members.events.ts";
import { mayChangeMember, whyNotChangeMember } from "./members.policy.ts";
import { findLongestOwner, readStanding } from "./members.queries.ts";
import { memberView } from "./members.view.ts";
import type { Person } from "../users/users.contract.ts";
import type { VisibleProject } from "./projects.columns.ts";
import { nameOwner } from "./projects.commands.ts";
import type { Member, ProjectRole } from "./projects.contract.ts";
import { findProject } from "./projects.queries.ts";

const UPSERT = withEvents(
  `row AS (
     INSERT INTO projects.members (${memberColumns.names}) VALUES (${memberColumns.parameters(1)})
     ON CONFLICT (project_id, user_id) DO UPDATE SET ${memberColumns.assignmentsFrom("excluded")} RETURNING user_id)`,
  1 + memberColumns.count,
);
const DELETE = withEvents(
  "row AS (DELETE FROM projects.members WHERE project_id = $1 AND user_id = $2 RETURNING user_id)",
  3,
);

export interface MemberChange {
  /** Whether the user must be a member before the change, or must not. */
  expects: "member" | "stranger";
  /** The user's role after it; null removes the member. */
  to: ProjectRole | null;
}

const eventsOf = (
  project: VisibleProject,
  member: MemberRow,
  from: ProjectRole | null,
  to: ProjectRole | null,
  write: WriteContext,
): NewEvent[] => {
  if (to === null) return memberRemoved(project, member, write);
  if (from === null) return memberAdded(project, member, write);
  return memberUpdated(project, member, { old: from, new: to }, write);
};

/** The named owner is no owner any more: the project names the owner with the longest membership. */
async function succeedOwner(
  tx: Queryable,
  project: VisibleProject,
  write: WriteContext,
): Promise<CommittedEvent[]> {
  const successor = await findLongestOwner(tx, project.id);
  if (successor === null) throw new Error(`project ${project.id} is left without an owner`);
  return nameOwner(tx, project, successor, write);
}

/**
 * Adds a member, changes a member's role, or removes a member. It is decided under the project's lock, so that of two
 * owners who leave at the same time one stays.
 * @throws Problem not-found for no such member; already-exists; forbidden; conflict for the last owner; project-archived
 */
export function changeMember(
  db: Database,
  projectId: string,
  person: Person,
  { expects, to }: MemberChange,
  write: WriteContext,
): Promise<{ member: Member; events: CommittedEvent[] }> {
  return db.transaction(async (tx) => {
    const project = await findProject(tx, write.actor, projectId, "read", { lock: true });
    const own = await readStanding(tx, projectId, write.actor.id);
    const { role: from, joined, owners } = await readStanding(tx, projectId, person.id);
    if (!mayChangeMember(write.actor, own.role, { userId: person.id, from, to }))
      throw new Problem("forbidden", whyNotChangeMember(write.actor, own.role));
    if (expects === "stranger" && from !== null)
      throw new Problem("already-exists", "This user is already a member of the project");
    if (expects === "member" && from === null) throw missing("member", person.id);
    if (project.status === "archived") throw new Problem("project-archived");
    if (from === "owner" && to !== "owner" && owners < 2)
      throw new Problem("conflict", "A project needs an owner: make another member owner first");

    const row: MemberRow = {
      project_id: project.id,
      user_id: person.id,
      role: to ?? (from as ProjectRole),
      created_at: joined ?? write.time,
    };
    const member = memberView(row, person);
    if (from === to) return { member, events: [] };

    const statement =
      to === null
        ? { name: "projects-member-delete", text: DELETE, values: [project.id, person.id] }
        : { name: "projects-member-upsert", text: UPSERT, values: memberColumns.valuesOf(row) };
    const answer = remembered(write, member);
    const events = (await commit(tx, statement, eventsOf(project, row, from, to, write), answer)) ?? [];
    const losesOwner = project.owner_id === person.id && to !== "owner";
    return { member, events: losesOwner ? [...events, ...(await succeedOwner(tx, project, write))] : events };
  });
}
