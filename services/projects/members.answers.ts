import type { DataSchemas, EventData } from "../../core/events.ts";
import { changes, enumOf, like, object, type Schema, timestamp, uuid } from "../../core/json-schema.ts";
import { person } from "../users/users.answers.ts";
import { projectFields } from "./projects.answers.ts";
import { type EventMembership, type Member, type memberEvents, PROJECT_ROLES } from "./projects.contract.ts";

const { properties: { id: _id, ...personFields } = {} } = person;

const fields = {
  user_id: uuid("0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65"),
  ...(personFields as Record<"username" | "first_name" | "last_name", Schema>),
  role: like(enumOf(PROJECT_ROLES), "member"),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
};

export const member = object<Member>("Member", fields);

type DataOf<Type extends keyof typeof memberEvents> = EventData<(typeof memberEvents)[Type]>;

const { id, slug, name } = projectFields;
const { user_id, role, created_at } = fields;
/** A member as events and snapshots show it. */
export const eventMember = object<EventMembership["member"]>("EventMember", { user_id, role, created_at });
const membership = {
  project: object<EventMembership["project"]>("EventMemberProject", { id, slug, name }),
  member: eventMember,
};
const membershipAlone = object<DataOf<"member_added">>("MembershipEventData", {
  ...membership,
  changes: { type: "object", additionalProperties: false, maxProperties: 0, examples: [{}] },
});

export const memberEventData: DataSchemas<typeof memberEvents> = {
  member_added: membershipAlone,
  member_updated: object<DataOf<"member_updated">>("MembershipChangeData", {
    ...membership,
    changes: changes("MembershipChanges", { role }),
  }),
  member_removed: membershipAlone,
};
