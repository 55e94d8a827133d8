import { integer, like, nullable, object, type Schema, uuid } from "../../core/json-schema.ts";
import { eventMember } from "../projects/members.answers.ts";
import { comment } from "./comments.answers.ts";
import { task, taskFields } from "./tasks.answers.ts";

const is = (type: string): Schema => like({ type: "string", const: type }, type);
const projectId = taskFields.project_id.examples?.[0] as string;

const head = object<{ type: "head"; stream: string; seq: number; id: string | null }>("SnapshotHead", {
  type: is("head"),
  stream: like({ type: "string" }, `project:${projectId}`, "The stream that goes on from here."),
  seq: integer(42, "The last event that the snapshot shows; 0 for none."),
  id: nullable(uuid("0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76", "The id of that event.")),
});
const end = object<{ type: "end"; count: number }>("SnapshotEnd", {
  type: is("end"),
  count: integer(3, "How many members, tasks and comments the snapshot has."),
});
const item = (title: string, type: string, data: Schema): Schema =>
  object<{ type: string; data: object }>(title, { type: is(type), data });

/** One line of a snapshot. */
export const snapshotLine: Schema = {
  title: "SnapshotLine",
  oneOf: [
    head,
    item("SnapshotMember", "member", eventMember),
    item("SnapshotTask", "task", task),
    item("SnapshotComment", "comment", comment),
    end,
  ],
  examples: head.examples ?? [],
};
