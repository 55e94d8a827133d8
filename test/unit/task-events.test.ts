import { describe, expect, test } from "@jest/globals";
import { type Cause, type NewEvent, projectStream, userStream } from "../../mixins/event-log.ts";
import {
  changeEvents,
  changesBetween,
  creationEvents,
  deletionEvents,
} from "../../services/tasks/tasks.events.ts";
import { taskColumns, type TaskRow } from "../../services/tasks/tasks.columns.ts";
import { taskEvents } from "../../services/tasks/tasks.contract.ts";
import { actorOf, idOf } from "./fixtures.ts";

const [ADA, BEN, EVE] = [idOf("a"), idOf("b"), idOf("e")];
const PROJECT = idOf("4");
const [THEN, NOW] = ["2026-11-20T08:00:00.000Z", "2026-11-21T09:30:00.000Z"];
const cause: Cause = { actor: actorOf("user", ADA), requestId: "request-1", time: NOW };

const inProject: TaskRow = {
  id: idOf("7"),
  title: "Old title",
  ...taskColumns.defaults,
  project_id: PROJECT,
  created_by: ADA,
  completed_at: null,
  position: "0198c0de",
  version: 1,
  created_at: THEN,
  updated_at: THEN,
  deleted_at: null,
};
const personal: TaskRow = { ...inProject, project_id: null };

const NAMES: Record<string, string> = {
  [projectStream(PROJECT)]: "project",
  [userStream(ADA)]: "ada",
  [userStream(BEN)]: "ben",
  [userStream(EVE)]: "eve",
};
/** `<type> → <who hears it>`, in the order in which they are written. */
const heard = (events: NewEvent[]) => events.map(({ type, stream }) => `${type} → ${NAMES[stream]}`);
const change = (before: TaskRow, fields: Partial<TaskRow>) =>
  changeEvents(before, { ...before, version: before.version + 1, updated_at: NOW, ...fields }, cause);
const completed = { status: "completed", completed_at: NOW } as const;

describe("changes", () => {
  test("name each field that differs with its old and new value, and nothing that the server keeps", () => {
    const after = { ...inProject, title: "New", due_date: NOW, version: 2, updated_at: NOW, deleted_at: NOW };
    expect(changesBetween(inProject, after)).toEqual({
      title: { old: "Old title", new: "New" },
      due_date: { old: null, new: NOW },
    });
  });

  test("are none between equal rows, and no event leaves", () => {
    expect(changesBetween(inProject, { ...inProject })).toEqual({});
    expect(change({ ...inProject, assigned_to: BEN }, { assigned_to: BEN })).toEqual([]);
    expect(change({ ...personal, assigned_to: BEN }, { assigned_to: BEN })).toEqual([]);
  });
});

describe("an event", () => {
  test("carries the task as lists show it, its changes, and who did it in which request and when", () => {
    const [event] = change(inProject, { title: "New" });
    const { deleted_at: _deleted, ...task } = inProject;
    expect(event).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{14}7/),
      stream: projectStream(PROJECT),
      type: "task_updated",
      time: NOW,
      actor_id: ADA,
      request_id: "request-1",
      data: {
        task: { ...task, title: "New", version: 2, updated_at: NOW },
        changes: { title: { old: "Old title", new: "New" } },
      },
      movesAccess: false,
      outdates: [`task:${task.id}`, `tasks-of:${PROJECT}`],
    });
  });

  test("has an id of its own in each stream", () => {
    const ids = change(personal, { assigned_to: BEN, title: "New" }).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe("one write makes one event for each meaning", () => {
  const changesByType = (events: NewEvent[]) =>
    events
      .filter(({ stream }) => stream === projectStream(PROJECT))
      .map(({ type, data }) => [type, Object.keys((data as { changes: object }).changes)]);

  test.each<[string, Partial<TaskRow>, [type: string, fields: string[]][]]>([
    [
      "completed, a new assignee and a new title",
      { ...completed, assigned_to: BEN, title: "New" },
      [
        ["task_completed", ["status", "completed_at"]],
        ["task_assigned", ["assigned_to"]],
        ["task_updated", ["title"]],
      ],
    ],
    ["completed alone", completed, [["task_completed", ["status", "completed_at"]]]],
    ["a new assignee alone", { assigned_to: BEN }, [["task_assigned", ["assigned_to"]]]],
    [
      "completed and a new assignee",
      { ...completed, assigned_to: BEN },
      [
        ["task_completed", ["status", "completed_at"]],
        ["task_assigned", ["assigned_to"]],
      ],
    ],
    ["another status", { status: "in_progress" }, [["task_updated", ["status"]]]],
    [
      "several other fields",
      { title: "New", description: "What", priority: "high", due_date: NOW },
      [["task_updated", ["title", "description", "priority", "due_date"]]],
    ],
  ])("%s", (_what, fields, expected) => {
    expect(changesByType(change(inProject, fields))).toEqual(expected);
  });

  test.each<[string, Partial<TaskRow>, [type: string, fields: string[]][]]>([
    ["to another place", { position: "0198c0df" }, [["task_moved", ["position"]]]],
    [
      "to another column and place",
      { status: "in_progress", position: "0198c0df" },
      [["task_moved", ["status", "position"]]],
    ],
    [
      "to another column, where its place is the last",
      { status: "in_progress" },
      [["task_moved", ["status"]]],
    ],
    [
      "to those that are completed",
      { ...completed, position: "0198c0df" },
      [
        ["task_completed", ["status", "completed_at"]],
        ["task_moved", ["position"]],
      ],
    ],
  ])("a move: %s", (_what, fields, expected) => {
    const after = { ...inProject, version: 2, updated_at: NOW, ...fields };
    expect(changesByType(changeEvents(inProject, after, cause, taskEvents.task_moved))).toEqual(expected);
  });

  test("reopening is an update of both status and completed_at", () => {
    const done: TaskRow = { ...inProject, ...completed };
    expect(changesByType(change(done, { status: "in_progress", completed_at: null }))).toEqual([
      ["task_updated", ["status", "completed_at"]],
    ]);
  });
});

describe("who hears of it", () => {
  test.each<[string, TaskRow, string[]]>([
    ["a project's task", inProject, ["task_created → project"]],
    [
      "a project's task with an assignee",
      { ...inProject, assigned_to: BEN },
      ["task_created → project", "task_assigned → ben"],
    ],
    ["a personal task", personal, ["task_created → ada"]],
    [
      "a personal task with an assignee",
      { ...personal, assigned_to: BEN },
      ["task_created → ada", "task_created → ben"],
    ],
    ["a personal task for oneself", { ...personal, assigned_to: ADA }, ["task_created → ada"]],
  ])("is created: %s", (_what, row, expected) => {
    expect(heard(creationEvents(row, cause))).toEqual(expected);
  });

  test("an assignment at creation says whom it is from and to", () => {
    const [, assigned] = creationEvents({ ...inProject, assigned_to: BEN }, cause);
    expect(assigned?.data).toMatchObject({
      task: { id: inProject.id, assigned_to: BEN },
      changes: { assigned_to: { old: null, new: BEN } },
    });
  });

  test.each<[string, TaskRow, Partial<TaskRow>, string[]]>([
    [
      "a project's task is edited: not the assignee's own stream",
      { ...inProject, assigned_to: BEN },
      { title: "New" },
      ["task_updated → project"],
    ],
    [
      "a project's task is completed: not the assignee's own stream",
      { ...inProject, assigned_to: BEN },
      completed,
      ["task_completed → project"],
    ],
    [
      "a project's task is assigned: the assignee's own stream too",
      inProject,
      { assigned_to: BEN },
      ["task_assigned → project", "task_assigned → ben"],
    ],
    [
      "a project's task is passed on: the new assignee's own stream, not the former's",
      { ...inProject, assigned_to: BEN },
      { assigned_to: EVE },
      ["task_assigned → project", "task_assigned → eve"],
    ],
    [
      "a project's task is unassigned",
      { ...inProject, assigned_to: BEN },
      { assigned_to: null },
      ["task_assigned → project"],
    ],
    [
      "a personal task is edited: its creator and its assignee",
      { ...personal, assigned_to: BEN },
      { title: "New" },
      ["task_updated → ada", "task_updated → ben"],
    ],
    [
      "a personal task is assigned to its creator: one stream, once",
      personal,
      { assigned_to: ADA },
      ["task_assigned → ada"],
    ],
    [
      "a personal task is passed on: the former assignee last",
      { ...personal, assigned_to: BEN },
      { assigned_to: EVE },
      ["task_assigned → ada", "task_assigned → eve", "task_assigned → ben"],
    ],
    [
      "a personal task is unassigned",
      { ...personal, assigned_to: BEN },
      { assigned_to: null },
      ["task_assigned → ada", "task_assigned → ben"],
    ],
    [
      "a personal task is taken from its creator: they hear it as its creator, once",
      { ...personal, assigned_to: ADA },
      { assigned_to: BEN },
      ["task_assigned → ada", "task_assigned → ben"],
    ],
  ])("%s", (_what, before, fields, expected) => {
    expect(heard(change(before, fields))).toEqual(expected);
  });

  test.each<[string, TaskRow, string[]]>([
    ["a project's task", { ...inProject, assigned_to: BEN }, ["task_deleted → project"]],
    ["a personal task", { ...personal, assigned_to: BEN }, ["task_deleted → ada", "task_deleted → ben"]],
  ])("is deleted: %s", (_what, row, expected) => {
    expect(heard(deletionEvents(row, cause))).toEqual(expected);
  });
});

test("a former assignee of a personal task hears that they are, and nothing of what it became", () => {
  const before = { ...personal, assigned_to: BEN };
  const secret = { title: "Secret", description: "Secret", due_date: NOW, ...completed };
  const toBen = change(before, { assigned_to: EVE, ...secret }).filter(
    ({ stream }) => stream === userStream(BEN),
  );
  const { deleted_at: _deleted, ...task } = before;
  expect(toBen.map(({ type, data }) => ({ type, data }))).toEqual([
    {
      type: "task_assigned",
      data: {
        task: { ...task, assigned_to: null },
        changes: { assigned_to: { old: BEN, new: null } },
      },
    },
  ]);
});
