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
import { projectColumns } from "./projects.columns.ts";
import {
  type EventProject,
  PROJECT_ROLES,
  type Project,
  type projectEvents,
  type ProjectItem,
} from "./projects.contract.ts";

export const projectFields = {
  id: uuid("0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21"),
  slug: text("analytical-engine", "Can stand in place of the id in paths."),
  name: text("Analytical Engine"),
  status: enumOf(["active", "archived"], "An archived project refuses every write but `status: active`."),
  owner_id: uuid("0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f"),
  role: nullable(
    like(enumOf(PROJECT_ROLES), "owner", "Your role; null for a manager or admin who is not a member."),
  ),
  version: integer(1, "Grows by one with each change; the `ETag` comes from it."),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
  updated_at: timestamp("2026-11-21T09:30:00.000Z"),
  deleted_at: { type: "string", format: "date-time", description: "Only in a deleted project." },
};

const counts = Object.fromEntries(TASK_STATUSES.map((status) => [status, integer(0)])) as Record<
  (typeof TASK_STATUSES)[number],
  Schema
>;

const description = nullable(text("A general-purpose computing machine."));

export const projectItem = object<ProjectItem>("ProjectItem", projectFields, ["deleted_at"]);

export const project = object<Project>(
  "Project",
  { ...projectFields, description, task_counts: object<typeof counts>("TaskCounts", counts) },
  ["deleted_at"],
);

type DataOf<Type extends keyof typeof projectEvents> = EventData<(typeof projectEvents)[Type]>;

const { role: _role, ...sharedFields } = projectFields;
const eventProject = object<EventProject>("EventProject", { ...sharedFields, description }, ["deleted_at"]);
const toldFields = { ...sharedFields, description };
const projectChanges = changes(
  "ProjectChanges",
  Object.fromEntries(projectColumns.told.map((field) => [field, toldFields[field]])),
);

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
};
