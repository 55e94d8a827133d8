/** projects.contract.ts as JSON Schemas. */
import type { DataSchemas, EventData } from "../../core/events.ts";
import {
  changes,
  enumOf,
  integer,
  like,
  nullable,
  object,
  type Schema,
  text,
  timestamp,
  uuid,
} from "../../core/json-schema.ts";
import { TASK_STATUSES } from "../tasks/tasks.contract.ts";
import { person } from "../users/users.answers.ts";
import type { projectEvents } from "./projects.contract.ts";
import {
  type EventMembership,
  type EventProject,
  type Member,
  PROJECT_ROLES,
  type Project,
  type ProjectChanges,
  type ProjectItem,
} from "./projects.contract.ts";

const ID = "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21";

const itemFields = {
  id: uuid(ID),
  slug: text("analytical-engine", "May stand for the id in paths."),
  name: text("Analytical Engine"),
  status: enumOf(["active", "archived"], "An archived project takes no writes but un-archiving."),
  owner_id: uuid("0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f"),
  role: nullable(
    like(enumOf(PROJECT_ROLES), "owner", "Yours; null for a manager or admin who is no member."),
  ),
  version: integer(1, "Counts the changes; the `ETag` is made of it."),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
  updated_at: timestamp("2026-11-21T09:30:00.000Z"),
  deleted_at: { type: "string", format: "date-time", description: "There in a deleted project alone." },
};

const counts = Object.fromEntries(TASK_STATUSES.map((status) => [status, integer(0)])) as Record<
  (typeof TASK_STATUSES)[number],
  Schema
>;

const description = nullable(text("A general-purpose computing machine."));

export const projectItem = object<ProjectItem>("ProjectItem", itemFields, ["deleted_at"]);

export const project = object<Project>(
  "Project",
  {
    ...itemFields,
    description,
    task_counts: object<typeof counts>("TaskCounts", counts),
  },
  ["deleted_at"],
);

const { properties: { id: _id, ...personFields } = {} } = person;

const memberFields = {
  user_id: uuid("0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65"),
  ...(personFields as Record<"username" | "first_name" | "last_name", Schema>),
  role: like(enumOf(PROJECT_ROLES), "member"),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
};

export const member = object<Member>("Member", memberFields);

type DataOf<Type extends keyof typeof projectEvents> = EventData<(typeof projectEvents)[Type]>;

const { role: _role, ...sharedFields } = itemFields;
const eventProject = object<EventProject>("EventProject", { ...sharedFields, description }, ["deleted_at"]);
const projectChanges = changes("ProjectChanges", {
  name: sharedFields.name,
  description,
  slug: sharedFields.slug,
  status: sharedFields.status,
  owner_id: sharedFields.owner_id,
} satisfies Record<keyof ProjectChanges, Schema>);

const { id, slug, name } = itemFields;
const { user_id, role, created_at } = memberFields;
const membership = {
  project: object<EventMembership["project"]>("EventMemberProject", { id, slug, name }),
  member: object<EventMembership["member"]>("EventMember", { user_id, role, created_at }),
};
const membershipAlone = object<DataOf<"member_added">>("MembershipEventData", {
  ...membership,
  changes: { type: "object", additionalProperties: false, maxProperties: 0, examples: [{}] },
});

export const projectEventData: DataSchemas<typeof projectEvents> = {
  project_updated: object<DataOf<"project_updated">>("ProjectChangeData", {
    project: eventProject,
    changes: projectChanges,
  }),
  project_deleted: object<DataOf<"project_deleted">>("ProjectEventData", { project: eventProject }),
  project_restored: object<DataOf<"project_restored">>(
    "ProjectRestoredData",
    { project: eventProject, changes: projectChanges },
    ["changes"],
  ),
  member_added: membershipAlone,
  member_updated: object<DataOf<"member_updated">>("MembershipChangeData", {
    ...membership,
    changes: changes("MembershipChanges", { role }),
  }),
  member_removed: membershipAlone,
};
