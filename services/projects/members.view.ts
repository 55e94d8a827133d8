import type { Person } from "../users/users.contract.ts";
import type { MemberRow } from "./members.columns.ts";
import type { EventMembership, Member } from "./projects.contract.ts";

/** The member under their name. A user whom the users service does not find has an empty one. */
export const memberView = (row: MemberRow, person: Omit<Person, "id"> | undefined): Member => ({
  user_id: row.user_id,
  username: person?.username ?? "",
  first_name: person?.first_name ?? null,
  last_name: person?.last_name ?? null,
  role: row.role,
  created_at: row.created_at,
});

/** The membership as events show it. */
export const membershipView = (project: EventMembership["project"], member: MemberRow): EventMembership => ({
  project: { id: project.id, slug: project.slug, name: project.name },
  member: { user_id: member.user_id, role: member.role, created_at: member.created_at },
});
