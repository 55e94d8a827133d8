import { type CachedAnswer, isFirstPage, isOff } from "../../core/cached-answer.ts";
import type { JsonText } from "../../core/json-text.ts";
import { isId } from "../../core/ids.ts";
import { type Change, declareEvents, event, type EventPage, type StreamStart } from "../../core/events.ts";
import { remote, type ServiceContract } from "../../core/kit.ts";
import type { Page, PageParams } from "../../core/pagination.ts";
import type { Person } from "../users/users.contract.ts";

export type ProjectRole = "viewer" | "member" | "manager" | "owner";
export const PROJECT_ROLES: readonly ProjectRole[] = ["viewer", "member", "manager", "owner"];

export type ProjectStatus = "active" | "archived";

/** A project in a list (docs/reference.md, Projects). `role` is the caller's; null for a manager or admin who is not a member. */
export interface ProjectItem {
  id: string;
  slug: string;
  name: string;
  status: ProjectStatus;
  owner_id: string;
  role: ProjectRole | null;
  version: number;
  created_at: string;
  updated_at: string;
  /** Only in a deleted project. */
  deleted_at?: string;
}

export interface Project extends ProjectItem {
  description: string | null;
  /** By status; deleted tasks don't count. */
  task_counts: Record<string, number>;
}

export interface Member extends Omit<Person, "id"> {
  user_id: string;
  role: ProjectRole;
  created_at: string;
}

/** Fields that a client may set. */
export interface ProjectInput {
  name: string;
  description?: string | null;
  slug?: string;
  status?: ProjectStatus;
}

type On<Params = object> = Params & { project: string };

export interface ProjectsContract extends ServiceContract {
  name: "projects";
  actions: {
    list: {
      params: PageParams & { status?: ProjectStatus[]; q?: string; include_deleted?: boolean };
      /** The text of a `Page<ProjectItem>`. */
      result: JsonText;
    };
    create: { params: Omit<ProjectInput, "status">; result: Project };
    /** The text of a `Project`. */
    get: { params: On; result: JsonText };
    /** A field that is left out goes back to its default; the slug stays. */
    replace: { params: On<ProjectInput>; result: Project };
    patch: { params: On<Partial<ProjectInput>>; result: Project };
    delete: { params: On; result: void };
    restore: { params: On; result: Project };
    list_members: { params: On<PageParams>; result: Page<Member> };
    add_member: { params: On<{ user_id: string; role: ProjectRole }>; result: Member };
    get_member: { params: On<{ user_id: string }>; result: Member };
    update_member: { params: On<{ user_id: string; role: ProjectRole }>; result: Member };
    remove_member: { params: On<{ user_id: string }>; result: void };
    list_events: { params: On<{ after?: string; limit?: number }>; result: EventPage };
    /** Where a response of server-sent events begins. */
    stream_events: { params: On<{ after?: string }>; result: StreamStart };
    /** A project with other members that this user alone owns, by its slug; null for none. */
    sole_owner_of: { params: { user_id: string }; result: string | null };
    /** Those projects of `ids` that the caller may see. */
    readable: { params: { ids: string[] }; result: string[] };
    /** Takes a user whose account was closed out of the projects that they can leave. */
    leave_all: { params: { user_id: string }; result: void };
    /** Removes one project that was deleted before `before`, with all that is in it. True: there may be more, call again. */
    purge: { params: { before: string }; result: boolean };
  };
}

export const projects = remote<ProjectsContract>("projects");

/** A project as events show it to all its members: the caller's role and the counts stay out. */
export type EventProject = Omit<Project, "role" | "task_counts">;

/** The changes of a project that events show. */
export type ProjectChanges = {
  [Field in keyof ProjectInput | "owner_id"]?: Change<Project[Field]>;
};

/** A membership as events show it. The log keeps no names of people, so that they can be erased. */
export interface EventMembership {
  project: Pick<Project, "id" | "slug" | "name">;
  member: Pick<Member, "user_id" | "role" | "created_at">;
}

/**
 * The answers that show a project, the rights to them, and lists of all projects. On a user's own stream the event tells that
 * the project is back in the user's list, which did not name it.
 */
const ofProject = ({ project }: { project: Pick<Project, "id"> }, stream: string): string[] => [
  `project:${project.id}`,
  `role-in:${project.id}`,
  "projects",
  ...(stream.startsWith("user:") ? [stream] : []),
];
/** All that the member sees. */
const ofMember = ({ member }: EventMembership): string[] => [`user:${member.user_id}`, "projects"];

export const projectEvents = declareEvents({
  project_updated: event<{ project: EventProject; changes: ProjectChanges }>(
    "Fields of a project changed. An archived project takes no writes.",
    ofProject,
    { movesAccess: ({ changes }) => changes.status !== undefined },
  ),
  project_deleted: event<{ project: EventProject }>(
    "A project was deleted: its stream closes after this event. It can be restored for a while.",
    ofProject,
    { movesAccess: true },
  ),
  project_restored: event<{ project: EventProject; changes?: ProjectChanges }>(
    "A deleted project is back, perhaps under another slug. Its members get this on their own streams too.",
    ofProject,
    { movesAccess: true },
  ),
});

/**
 * A project with the numbers of its tasks, and the caller's role, which is the caller's own part: only answers that have it
 * bring the right to see it. A slug may come to name another project.
 */
export const cachedProject: CachedAnswer<Project> = {
  names({ project }) {
    if (typeof project !== "string" || !isId(project)) return null;
    return [`project:${project.toLowerCase()}`, `counts-of:${project.toLowerCase()}`];
  },
  isShared: () => true,
  parts: ({ role }) => [{ name: "", text: `"role":${JSON.stringify(role)}` }],
  about: ({ id }) => ({ names: [], realm: `role-in:${id}` }),
};

/**
 * The first page of projects. For a user it names the projects that it shows, so it has to show all: another one could
 * come to match a filter, or leave the total.
 */
export const cachedProjectList: CachedAnswer<Page<ProjectItem>> = {
  names(params, { role }) {
    if (!isFirstPage(params) || !isOff(params.include_deleted)) return null;
    if (role !== "user") return ["projects"];
    return params.status === undefined && params.q === undefined ? [] : null;
  },
  isShared: () => false,
  about({ items, next_cursor }, _params, { role }) {
    if (role !== "user") return { names: [] };
    return next_cursor === null ? { names: items.map(({ id }) => `project:${id}`) } : null;
  },
};

export const memberEvents = declareEvents({
  member_added: event<EventMembership & { changes: Record<string, never> }>(
    "A user became a member of a project. The user gets this on their own stream too.",
    ofMember,
    { movesAccess: true },
  ),
  member_updated: event<EventMembership & { changes: { role: Change<ProjectRole> } }>(
    "A member of a project has another role. The member gets this on their own stream too.",
    ofMember,
    { movesAccess: true },
  ),
  member_removed: event<EventMembership & { changes: Record<string, never> }>(
    "A user is no longer a member of a project. The user gets this on their own stream; the project's stream is closed for them.",
    ofMember,
    { movesAccess: true },
  ),
});
