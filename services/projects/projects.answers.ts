/** projects.contract.ts as JSON Schemas. */
import {
  array,
  enumOf,
  exampleOf,
  integer,
  like,
  nullable,
  object,
  type Schema,
  text,
  timestamp,
  uuid,
} from "../../core/json-schema.ts";
import { EVENT_TYPES, type LoggedEvent } from "../../mixins/event-log.ts";
import { TASK_STATUSES } from "../tasks/tasks.contract.ts";
import { task } from "../tasks/tasks.answers.ts";
import { person } from "../users/users.answers.ts";
import {
  type EventPage,
  type Member,
  PROJECT_ROLES,
  type Project,
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

export const projectItem = object<ProjectItem>("ProjectItem", itemFields, ["deleted_at"]);

export const project = object<Project>(
  "Project",
  {
    ...itemFields,
    description: nullable(text("A general-purpose computing machine.")),
    task_counts: object<typeof counts>("TaskCounts", counts),
  },
  ["deleted_at"],
);

const { properties: { id: _id, ...personFields } = {} } = person;

export const member = object<Member>("Member", {
  user_id: uuid("0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65"),
  ...(personFields as Record<"username" | "first_name" | "last_name", Schema>),
  role: like(enumOf(PROJECT_ROLES), "member"),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
});

export const event = object<LoggedEvent>("Event", {
  id: uuid("0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"),
  stream: text(`project:${ID}`),
  seq: integer(1, "Counts the stream's events: 1, 2, 3 …, without a hole."),
  type: enumOf(EVENT_TYPES),
  time: timestamp("2026-11-21T09:30:00.000Z"),
  actor_id: nullable(uuid("0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f")),
  request_id: nullable(text("0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75")),
  data: {
    type: "object",
    description: "What happened; `task_*` carry the `task` as lists show it, and `changes`.",
    examples: [{ task: exampleOf(task) }],
  },
});

export const eventPage = object<EventPage>("EventPage", {
  items: array(event),
  limit: integer(20),
  head: integer(1, "The number of the last event: there is more to fetch while the last item's is smaller."),
});
