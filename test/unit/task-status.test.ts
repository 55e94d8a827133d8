import { describe, expect, test } from "@jest/globals";
import { TASK_STATUSES, type TaskStatus } from "../../services/tasks/tasks.contract.ts";
import { checkTransition, completedAt } from "../../services/tasks/tasks.status.ts";
import { problem } from "./fixtures.ts";

const TO = ["pending", "in_progress", "completed", "cancelled", "archived"] as const;
const MATRIX: Record<TaskStatus, [boolean, boolean, boolean, boolean, boolean]> = {
  //           pending in_progress completed cancelled archived
  pending: /*    */ [false, true, true, true, false],
  in_progress: /**/ [true, false, true, true, false],
  completed: /*  */ [false, true, false, false, true],
  cancelled: /*  */ [true, false, false, false, true],
  archived: /*   */ [false, false, false, false, false],
};
const CASES = Object.entries(MATRIX).flatMap(([from, row]) =>
  TO.map((to, at) => ({ from: from as TaskStatus, to, allowed: row[at] })),
);

test("the matrix is complete", () => {
  expect([...TO].sort()).toEqual([...TASK_STATUSES].sort());
  expect(CASES).toHaveLength(25);
});

test.each(CASES)("$from → $to is allowed: $allowed", ({ from, to, allowed }) => {
  const transition = () => checkTransition(from, to);
  if (allowed) expect(transition).not.toThrow();
  else expect(transition).toThrow(problem("illegal-transition", { code: 409 }) as Error);
});

describe("completed_at", () => {
  const [BEFORE, NOW] = ["2026-11-20T08:00:00.000Z", "2026-11-21T09:30:00.000Z"];
  test.each<[from: TaskStatus, had: string | null, to: TaskStatus, has: string | null]>([
    ["pending", null, "pending", null],
    ["pending", null, "in_progress", null],
    ["pending", null, "completed", NOW],
    ["in_progress", null, "completed", NOW],
    ["completed", BEFORE, "completed", BEFORE],
    ["completed", BEFORE, "in_progress", null],
    ["completed", BEFORE, "archived", BEFORE],
    ["archived", BEFORE, "archived", BEFORE],
    ["cancelled", null, "archived", null],
    ["cancelled", null, "pending", null],
  ])("of a task that was %s with %s and is now %s is %s", (status, completed_at, to, expected) => {
    expect(completedAt({ status, completed_at }, to, NOW)).toBe(expected);
  });
});
