/** What each write makes of the task that it found, on its own: no database, no broker. */
import { describe, expect, test } from "@jest/globals";
import { problemCode } from "../../core/errors.ts";
import type { WriteContext } from "../../mixins/event-log.ts";
import type { ProjectRole } from "../../services/projects/projects.contract.ts";
import { checkReferences, type References } from "../../services/tasks/tasks.references.ts";
import { clearing, type Decide, patch, replacement } from "../../services/tasks/tasks.decisions.ts";
import { commentColumns } from "../../services/tasks/comments.columns.ts";
import { body } from "../../services/tasks/comments.params.ts";
import { taskColumns } from "../../services/tasks/tasks.columns.ts";
import { fields, title } from "../../services/tasks/tasks.params.ts";
import { REDACTED } from "../../services/tasks/tasks.view.ts";
import type { FoundTask } from "../../services/tasks/tasks.queries.ts";
import { actorOf, idOf } from "./fixtures.ts";

const [ADA, BEN, EVE] = [idOf("a"), idOf("b"), idOf("e")];
const assignment = (assigned_to: string | null, write: WriteContext): Decide => patch({ assigned_to }, write);
const [THEN, NOW] = ["2026-11-20T08:00:00.000Z", "2026-11-21T09:30:00.000Z"];

const writeOf = (id: string): WriteContext => ({
  actor: actorOf("user", id),
  requestId: null,
  time: NOW,
  conditions: { ifMatch: null, key: null },
});

/** Ada's, in a project where the caller has a role. */
const found = (project_role: ProjectRole, fields: Partial<FoundTask> = {}): FoundTask => ({
  id: idOf("7"),
  title: "Mend it",
  ...taskColumns.defaults,
  project_id: idOf("4"),
  created_by: ADA,
  completed_at: null,
  position: "0198c0de",
  version: 1,
  created_at: THEN,
  updated_at: THEN,
  deleted_at: null,
  project_role,
  project_status: "active",
  members_version: 1,
  ...fields,
});

/** What comes of it: the problem's code, or the events and the next assignee. */
function outcome(decide: Decide, task: FoundTask): string {
  try {
    const { next, events } = decide(task);
    return [...new Set(events.map(({ type }) => type)), next.assigned_to ?? "nobody"].join(" ");
  } catch (error) {
    return problemCode(error) ?? String(error);
  }
}

describe("a PATCH", () => {
  test.each<[ProjectRole, string]>([
    ["viewer", "forbidden"],
    ["member", "nobody"],
  ])("of nothing takes the right to edit, not the one to assign: %s", (role, expected) => {
    expect(outcome(patch({}, writeOf(BEN)), found(role))).toBe(expected);
  });

  test("that names the assignee whom the task has takes no right to assign beside an edit", () => {
    const task = found("member", { assigned_to: EVE });
    expect(outcome(patch({ title: "Now", assigned_to: EVE }, writeOf(BEN)), task)).toBe(
      `task_updated ${EVE}`,
    );
    expect(outcome(patch({ assigned_to: EVE }, writeOf(BEN)), task)).toBe("forbidden");
  });
});

describe("an assignee", () => {
  const own = (role: ProjectRole, fields: Partial<FoundTask> = {}) =>
    found(role, { assigned_to: BEN, ...fields });
  const write = writeOf(BEN);

  test.each<[ProjectRole]>([["viewer"], ["member"]])(
    "who is %s gives the task back, and to nobody else",
    (role) => {
      expect(outcome(assignment(null, write), own(role))).toBe("task_assigned nobody");
      expect(outcome(patch({ assigned_to: null }, write), own(role))).toBe("task_assigned nobody");
      expect(outcome(assignment(EVE, write), own(role))).toBe("forbidden");
    },
  );

  test("doesn't do so in an archived project, which takes no writes", () => {
    expect(outcome(assignment(null, write), own("viewer", { project_status: "archived" }))).toBe(
      "project-archived",
    );
  });

  test("has to say so in a PUT", () => {
    expect(outcome(replacement({ title: "Mend it" }, write), own("member"))).toBe("forbidden");
    expect(outcome(replacement({ title: "Mend it", assigned_to: null }, write), own("member"))).toBe(
      "task_assigned nobody",
    );
  });

  test("gives back nothing that is another's", () => {
    expect(outcome(assignment(null, writeOf(EVE)), own("member"))).toBe("forbidden");
  });
});

describe("clearing", () => {
  test("takes the task from who leaves", () => {
    expect(outcome(clearing("assigned_to", BEN, writeOf(ADA)), found("member", { assigned_to: BEN }))).toBe(
      "task_assigned nobody",
    );
  });

  test("leaves it to whoever has it by now", () => {
    expect(outcome(clearing("assigned_to", BEN, writeOf(ADA)), found("member", { assigned_to: EVE }))).toBe(
      EVE,
    );
  });
});

describe("what a task may come to refer to", () => {
  const nobody: References = { people: [], members: [], sharing: [], categories: [] };
  const active = { id: BEN, is_active: true, role: "user" } as const;
  const refusal = (task: Parameters<typeof checkReferences>[0], assigned_to: string, known: References) => {
    try {
      checkReferences(task, { assigned_to }, known);
      return null;
    } catch (error) {
      return problemCode(error);
    }
  };

  test("the assignee and the category that it has are not judged again", () => {
    const task = found("member", { assigned_to: BEN, category_id: idOf("c") });
    expect(() => checkReferences(task, { assigned_to: BEN, category_id: idOf("c") }, nobody)).not.toThrow();
  });

  test("an assignee in a project is one who can see it", () => {
    const task = found("owner");
    const known = { ...nobody, people: [active] };
    expect(refusal(task, BEN, known)).toBe("validation-failed");
    const elsewhere = { ...known, members: [{ project_id: idOf("5"), user_id: BEN }] };
    expect(refusal(task, BEN, elsewhere)).toBe("validation-failed");
    expect(refusal(task, BEN, { ...known, members: [{ project_id: idOf("4"), user_id: BEN }] })).toBe(null);
    expect(refusal(task, BEN, { ...known, people: [{ ...active, role: "manager" }] })).toBe(null);
  });

  test("that of a personal task shares a project with its creator, whatever their global role, or is it", () => {
    const task = found("owner", { project_id: null, project_role: null });
    for (const role of ["user", "manager", "admin"] as const) {
      const known = {
        ...nobody,
        people: [
          { ...active, role },
          { ...active, id: ADA },
        ],
      };
      expect(refusal(task, BEN, known)).toBe("validation-failed");
      expect(refusal(task, BEN, { ...known, sharing: [{ creator: EVE, assignee: BEN }] })).toBe(
        "validation-failed",
      );
      expect(refusal(task, BEN, { ...known, sharing: [{ creator: ADA, assignee: BEN }] })).toBe(null);
      expect(refusal(task, ADA, known)).toBe(null);
    }
  });
});

test("a redaction takes out every text that a client may set", () => {
  const rules: Record<string, { type: string }> = { title, body, ...fields };
  const textsOf = ({ told, list }: { told: readonly string[]; list: Record<string, { type: string }> }) =>
    told.filter((name) => list[name]?.type === "text" && name in rules && rules[name]?.type !== "enum");
  expect(Object.keys(REDACTED.task)).toEqual(textsOf(taskColumns));
  expect(Object.keys(REDACTED.comment)).toEqual(textsOf(commentColumns));
});
