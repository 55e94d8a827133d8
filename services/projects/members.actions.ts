import { invalidField, missing } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import { page } from "../../core/json-schema.ts";
import { actionsOf, type UserContext } from "../../core/kit.ts";
import type { PageOf } from "../../core/pagination.ts";
import { writeContext } from "../../mixins/event-log.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { type Person, users } from "../users/users.contract.ts";
import { member } from "./members.answers.ts";
import type { MemberRow } from "./members.columns.ts";
import { changeMember } from "./members.commands.ts";
import * as params from "./members.params.ts";
import { findMember, listMembers } from "./members.queries.ts";
import { memberView } from "./members.view.ts";
import type { Member, ProjectsContract } from "./projects.contract.ts";
import type { ProjectsLend } from "./projects.methods.ts";
import { findProject } from "./projects.queries.ts";

/** Members under their names: one call for all of them. */
async function withNames(ctx: UserContext, members: MemberRow[]): Promise<Member[]> {
  const ids = members.map(({ user_id }) => user_id);
  const people = ids.length === 0 ? [] : await users.call(ctx, "people", { ids });
  const byId = new Map(people.map((person) => [person.id, person]));
  return members.map((row) => memberView(row, byId.get(row.user_id)));
}

/** The user whom a path names as a member. @throws Problem not-found */
async function personOf(ctx: UserContext, id: string): Promise<Person & { is_active: boolean }> {
  const [person] = isId(id) ? await users.call(ctx, "people", { ids: [id] }) : [];
  if (person === undefined) throw missing("member", id);
  return person;
}

export const memberActions = actionsOf<ProjectsContract, ProjectsLend>()({
  list_members: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: params.listMembersRules,
    docs: {
      summary: "List a project's members",
      description: "The longest membership comes first by default.",
      answer: page(member),
    },
    async handler(ctx) {
      const { project, ...page } = ctx.params;
      const { actor } = ctx.locals;
      const { id } = await findProject(this.db, actor, project, "read");
      const members = await listMembers(this.db, actor, id, page as PageOf);
      return { ...members, items: await withNames(ctx, members.items) };
    },
  },

  add_member: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: params.addMemberRules,
    docs: {
      summary: "Add a member",
      description: "You can't give a role above your own.",
      answer: member,
      problems: ["forbidden", "already-exists", "project-archived"],
    },
    handler(ctx) {
      const { project, user_id, role } = ctx.params;
      return withIdempotencyKey(this.db, ctx, async () => {
        const { id } = await findProject(this.db, ctx.locals.actor, project, "manage_members");
        const [person] = await users.call(ctx, "people", { ids: [user_id] });
        if (person?.is_active !== true)
          throw invalidField("user_id", "unknown", "There is no active user with this id");
        const change = { expects: "stranger", to: role } as const;
        const { member, events } = await changeMember(this.db, id, person, change, writeContext(ctx));
        this.publish(events);
        return member;
      });
    },
  },

  get_member: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: params.memberRules,
    docs: { summary: "Read a member", answer: member },
    async handler(ctx) {
      const { project, user_id } = ctx.params;
      const { id } = await findProject(this.db, ctx.locals.actor, project, "read");
      const [one] = await withNames(ctx, [await findMember(this.db, id, user_id)]);
      return one as Member;
    },
  },

  update_member: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: params.updateMemberRules,
    docs: {
      summary: "Change a member's role",
      description: "Neither the old nor the new role may be above your own. The project keeps an owner.",
      answer: member,
      problems: ["forbidden", "conflict", "project-archived"],
    },
    handler(ctx) {
      const { project, user_id, role } = ctx.params;
      return withIdempotencyKey(this.db, ctx, async () => {
        const { id } = await findProject(this.db, ctx.locals.actor, project, "read");
        const person = await personOf(ctx, user_id);
        if (role === "owner" && !person.is_active)
          throw invalidField("role", "inactive", "This account is closed: it can't own a project");
        const change = { expects: "member", to: role } as const;
        const { member, events } = await changeMember(this.db, id, person, change, writeContext(ctx));
        this.publish(events);
        return member;
      });
    },
  },

  remove_member: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: params.memberRules,
    docs: {
      summary: "Remove a member, or leave",
      description: "The project keeps an owner.",
      answer: null,
      problems: ["forbidden", "conflict", "project-archived"],
    },
    async handler(ctx) {
      const { project, user_id } = ctx.params;
      await withIdempotencyKey(this.db, ctx, async () => {
        const { id } = await findProject(this.db, ctx.locals.actor, project, "read");
        const person = await personOf(ctx, user_id);
        const change = { expects: "member", to: null } as const;
        const { events } = await changeMember(this.db, id, person, change, writeContext(ctx));
        this.publish(events);
      });
    },
  },
});
