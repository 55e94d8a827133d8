import { invalidField, missing } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import { actionsOf, type UserContext } from "../../core/kit.ts";
import { pageRules, type PageOf } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { page } from "../../core/json-schema.ts";
import { writeContext } from "../../mixins/event-log.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { users } from "../users/users.contract.ts";
import { changeMember } from "./projects.commands.ts";
import { type Member, PROJECT_ROLES, type ProjectsContract } from "./projects.contract.ts";
import { findMember, findProject, listMembers, MEMBER_SORTS, type MemberRow } from "./projects.queries.ts";
import { member } from "./projects.answers.ts";
import type { ProjectsLend } from "./projects.service.ts";

const project = rules.text(1, 100);
const role = { type: "enum", values: [...PROJECT_ROLES] } as const;

type Names = "list_members" | "add_member" | "get_member" | "update_member" | "remove_member";

/** Members under their names: one call for all of them. */
async function named(ctx: UserContext, members: MemberRow[]): Promise<Member[]> {
  const ids = members.map(({ user_id }) => user_id);
  const people = ids.length === 0 ? [] : await users.call(ctx, "people", { ids });
  const byId = new Map(people.map((person) => [person.id, person]));
  return members.map(({ user_id, role, created_at }) => {
    const { username = "", first_name = null, last_name = null } = byId.get(user_id) ?? {};
    return { user_id, username, first_name, last_name, role, created_at };
  });
}

/** Somebody whom the path names as a member. @throws Problem not-found */
async function personOf(ctx: UserContext, id: string) {
  const [person] = isId(id) ? await users.call(ctx, "people", { ids: [id] }) : [];
  if (person === undefined) throw missing("member", id);
  return person;
}

export const memberActions = actionsOf<ProjectsContract, ProjectsLend>()<Names>({
  /** Who is in a project, longest first unless the caller says. @throws Problem not-found */
  list_members: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: { project, ...pageRules(...MEMBER_SORTS) },
    docs: { summary: "List a project's members", answer: page(member) },
    async handler(ctx) {
      const { project, ...page } = ctx.params;
      const found = await findProject(this.db, ctx.locals.actor, project, "read");
      const members = await listMembers(this.db, ctx.locals.actor, found.id, page as PageOf);
      const items = await named(ctx, members.items);
      return { ...members, items };
    },
  },

  /** Adds a member. @throws Problem not-found, forbidden, already-exists, project-archived; validation-failed for no such user */
  add_member: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { project, user_id: rules.id, role },
    docs: {
      summary: "Add a member",
      description: "With a role not above your own.",
      answer: member,
      problems: ["forbidden", "already-exists", "project-archived"],
    },
    handler(ctx) {
      const { user_id, role } = ctx.params;
      return withIdempotencyKey(this.db, ctx, async () => {
        const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "manage_members");
        const [person] = await users.call(ctx, "people", { ids: [user_id] });
        if (person?.is_active !== true)
          throw invalidField("user_id", "unknown", "There is no active user with this id");
        const change = { expects: "stranger", to: role } as const;
        const { member, events } = await changeMember(this.db, found.id, person, change, writeContext(ctx));
        await this.publish(found.id, events);
        return member;
      });
    },
  },

  /** One member. @throws Problem not-found */
  get_member: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: { project, user_id: rules.nestedId },
    docs: { summary: "Read a member", answer: member },
    async handler(ctx) {
      const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "read");
      const [one] = await named(ctx, [await findMember(this.db, found.id, ctx.params.user_id)]);
      return one as Member;
    },
  },

  /** Changes a member's role. @throws Problem not-found, forbidden, conflict, project-archived */
  update_member: {
    auth: "user",
    projectBound: true,
    rules: { project, user_id: rules.nestedId, role },
    docs: {
      summary: "Change a member's role",
      description: "Neither the old role nor the new one may be above your own, and an owner has to remain.",
      answer: member,
      problems: ["forbidden", "conflict", "project-archived"],
    },
    async handler(ctx) {
      const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "read");
      const person = await personOf(ctx, ctx.params.user_id);
      if (ctx.params.role === "owner" && !person.is_active)
        throw invalidField("role", "inactive", "This account is closed: it can't own a project");
      const change = { expects: "member", to: ctx.params.role } as const;
      const { member, events } = await changeMember(this.db, found.id, person, change, writeContext(ctx));
      await this.publish(found.id, events);
      return member;
    },
  },

  /** Removes a member, or lets the caller leave. @throws Problem not-found, forbidden, conflict, project-archived */
  remove_member: {
    auth: "user",
    projectBound: true,
    rules: { project, user_id: rules.nestedId },
    docs: {
      summary: "Remove a member, or leave",
      description: "An owner has to remain.",
      answer: null,
      problems: ["forbidden", "conflict", "project-archived"],
    },
    async handler(ctx) {
      const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "read");
      const person = await personOf(ctx, ctx.params.user_id);
      const change = { expects: "member", to: null } as const;
      const { events } = await changeMember(this.db, found.id, person, change, writeContext(ctx));
      await this.publish(found.id, events, [person.id]);
    },
  },
});
