import { describe, expect, test } from "@jest/globals";
import type { Role } from "../../core/kit.ts";
import type { ProjectRole } from "../../services/projects/projects.contract.ts";
import { mayChangeMember } from "../../services/projects/members.policy.ts";
import {
  effectiveRole,
  may as mayProject,
  type ProjectVerb,
} from "../../services/projects/projects.policy.ts";
import { may as mayTask, type TaskVerb } from "../../services/tasks/tasks.policy.ts";
import { actorOf, idOf } from "./fixtures.ts";

const [SELF, OTHER, THIRD, PROJECT] = [idOf("1"), idOf("2"), idOf("3"), idOf("4")];

describe("a task (docs/reference.md, Roles and permissions)", () => {
  /** A verb that is not named here does not compile. */
  const VERBS = Object.keys({
    read: 0,
    create: 0,
    edit: 0,
    assign: 0,
    delete: 0,
    comment: 0,
    moderate: 0,
    redact: 0,
  } satisfies Record<TaskVerb, 0>) as TaskVerb[];
  const allowed = (role: Role, task: Parameters<typeof mayTask>[2]) =>
    VERBS.filter((verb) => mayTask(actorOf(role, SELF), verb, task)).join(" ");

  const EVERYTHING = "read create edit assign delete comment moderate redact";
  const CREATOR = "read create edit assign delete comment redact";

  describe("in a project", () => {
    const TABLE: [Role, ProjectRole | null, string][] = [
      ["user", null, ""],
      ["user", "viewer", "read"],
      ["user", "member", "read create edit comment"],
      ["user", "manager", EVERYTHING],
      ["user", "owner", EVERYTHING],
      ["manager", null, "read edit assign"],
      ["manager", "viewer", "read edit assign"],
      ["manager", "member", "read create edit assign comment"],
      ["manager", "manager", EVERYTHING],
      ["manager", "owner", EVERYTHING],
      ["admin", null, EVERYTHING],
      ["admin", "viewer", EVERYTHING],
      ["admin", "member", EVERYTHING],
      ["admin", "manager", EVERYTHING],
      ["admin", "owner", EVERYTHING],
    ];

    test.each(TABLE)("%s with the project role %s may: %s", (role, project_role, verbs) => {
      const task = { project_id: PROJECT, project_role, created_by: OTHER, assigned_to: null };
      expect(allowed(role, task)).toBe(verbs);
    });

    test.each(TABLE)(
      "%s with the project role %s may no more for having created it or being its assignee: %s",
      (role, project_role, verbs) => {
        const task = { project_id: PROJECT, project_role, created_by: SELF, assigned_to: SELF };
        expect(allowed(role, task)).toBe(verbs);
      },
    );
  });

  describe("of nobody's project is personal", () => {
    const creator = { created_by: SELF, assigned_to: OTHER };
    const both = { created_by: SELF, assigned_to: SELF };
    const assignee = { created_by: OTHER, assigned_to: SELF };
    const stranger = { created_by: OTHER, assigned_to: THIRD };

    test.each<[Role, string, typeof creator, string]>([
      ["user", "creator", creator, CREATOR],
      ["user", "creator and assignee", both, CREATOR],
      ["user", "assignee", assignee, "read edit comment"],
      ["user", "stranger", stranger, ""],
      ["manager", "creator", creator, CREATOR],
      ["manager", "creator and assignee", both, CREATOR],
      ["manager", "assignee", assignee, "read edit assign comment"],
      ["manager", "stranger", stranger, "read edit assign"],
      ["admin", "creator", creator, EVERYTHING],
      ["admin", "creator and assignee", both, EVERYTHING],
      ["admin", "assignee", assignee, EVERYTHING],
      ["admin", "stranger", stranger, EVERYTHING],
    ])("%s as its %s may: %s", (role, _standing, people, verbs = "") => {
      const task = { project_id: null, project_role: null, ...people };
      expect(allowed(role, task)).toBe(verbs);
    });

    test("and unassigned belongs to its creator alone", () => {
      const task = { project_id: null, project_role: null, created_by: OTHER, assigned_to: null };
      expect(allowed("user", task)).toBe("");
    });
  });
});

describe("a project (docs/reference.md, Roles and permissions)", () => {
  const VERBS = Object.keys({
    read: 0,
    edit: 0,
    manage_members: 0,
    delete: 0,
  } satisfies Record<ProjectVerb, 0>) as ProjectVerb[];
  const EVERYTHING = "read edit manage_members delete";

  test.each<[Role, ProjectRole | null, amountsTo: ProjectRole | null, string]>([
    ["user", null, null, ""],
    ["user", "viewer", "viewer", "read"],
    ["user", "member", "member", "read"],
    ["user", "manager", "manager", "read edit manage_members"],
    ["user", "owner", "owner", EVERYTHING],
    ["manager", null, "viewer", "read"],
    ["manager", "viewer", "viewer", "read"],
    ["manager", "member", "member", "read"],
    ["manager", "manager", "manager", "read edit manage_members"],
    ["manager", "owner", "owner", EVERYTHING],
    ["admin", null, "owner", EVERYTHING],
    ["admin", "viewer", "owner", EVERYTHING],
    ["admin", "member", "owner", EVERYTHING],
    ["admin", "manager", "owner", EVERYTHING],
    ["admin", "owner", "owner", EVERYTHING],
  ])("to %s with the project role %s is open as to a(n) %s, who may: %s", (role, own, amountsTo, verbs) => {
    const actor = actorOf(role, SELF);
    expect(effectiveRole(actor, own)).toBe(amountsTo);
    expect(VERBS.filter((verb) => mayProject(actor, verb, own)).join(" ")).toBe(verbs);
  });
});

describe("a project's member", () => {
  type RoleOrNone = ProjectRole | "nobody";
  const orNull = (role: RoleOrNone) => (role === "nobody" ? null : role);
  const ROLES: RoleOrNone[] = ["nobody", "viewer", "member", "manager", "owner"];

  /** Rows: what somebody else is. Columns: what they are to become: nobody, viewer, member, manager, owner. */
  const NEVER = {
    nobody: "- - - - -",
    viewer: "- - - - -",
    member: "- - - - -",
    manager: "- - - - -",
    owner: "- - - - -",
  };
  const AS_MANAGER = {
    nobody: "+ + + + -",
    viewer: "+ + + + -",
    member: "+ + + + -",
    manager: "+ + + + -",
    owner: "- - - - -",
  };
  const ALWAYS = {
    nobody: "+ + + + +",
    viewer: "+ + + + +",
    member: "+ + + + +",
    manager: "+ + + + +",
    owner: "+ + + + +",
  };

  test.each<[Role, RoleOrNone, name: string, Record<RoleOrNone, string>]>([
    ["user", "nobody", "never", NEVER],
    ["user", "viewer", "never", NEVER],
    ["user", "member", "never", NEVER],
    ["user", "manager", "up to manager", AS_MANAGER],
    ["user", "owner", "always", ALWAYS],
    ["manager", "nobody", "never", NEVER],
    ["manager", "viewer", "never", NEVER],
    ["manager", "member", "never", NEVER],
    ["manager", "manager", "up to manager", AS_MANAGER],
    ["manager", "owner", "always", ALWAYS],
    ["admin", "nobody", "always", ALWAYS],
    ["admin", "viewer", "always", ALWAYS],
    ["admin", "member", "always", ALWAYS],
    ["admin", "manager", "always", ALWAYS],
    ["admin", "owner", "always", ALWAYS],
  ])("is changed by %s with the project role %s: %s", (role, own, _name, table) => {
    const mark = (from: RoleOrNone, to: RoleOrNone) =>
      mayChangeMember(actorOf(role, SELF), orNull(own), { userId: OTHER, from: orNull(from), to: orNull(to) })
        ? "+"
        : "-";
    const seen = ROLES.map((from) => [from, ROLES.map((to) => mark(from, to)).join(" ")]);
    expect(Object.fromEntries(seen)).toEqual(table);
  });

  test.each<[Role, ProjectRole]>([
    ["user", "viewer"],
    ["user", "member"],
    ["user", "manager"],
    ["user", "owner"],
    ["manager", "viewer"],
    ["admin", "viewer"],
  ])("who is %s with the project role %s may leave", (role, own) => {
    const leaving = { userId: SELF, from: own, to: null };
    expect(mayChangeMember(actorOf(role, SELF), own, leaving)).toBe(true);
  });

  test.each<[ProjectRole, ProjectRole, boolean]>([
    ["viewer", "member", false],
    ["member", "manager", false],
    ["manager", "owner", false],
    ["manager", "viewer", true],
    ["owner", "manager", true],
  ])("who is %s may make themselves %s: %s", (own, to, expected) => {
    expect(mayChangeMember(actorOf("user", SELF), own, { userId: SELF, from: own, to })).toBe(expected);
  });
});
