import { remote, type ServiceContract } from "../../core/kit.ts";
import type { Page, PageParams } from "../../core/page.ts";
import type { Person } from "../users/users.contract.ts";

export type ProjectRole = "viewer" | "member" | "manager" | "owner";
export const PROJECT_ROLES: readonly ProjectRole[] = ["viewer", "member", "manager", "owner"];

export type ProjectStatus = "active" | "archived";

/** A project in a list (contract.md §4). `role` is the caller's; null for a manager or admin who is no member. */
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
}

export interface Project extends ProjectItem {
  description: string | null;
  /** Tasks that are not deleted, by status. */
  task_counts: Record<string, number>;
}

export interface Member extends Omit<Person, "id"> {
  user_id: string;
  role: ProjectRole;
  created_at: string;
}

export interface ProjectsContract extends ServiceContract {
  name: "projects";
  actions: {
    create: { params: { name: string; description?: string | null; slug?: string }; result: Project };
    list: { params: PageParams; result: Page<ProjectItem> };
    get: { params: { project: string }; result: Project };
    list_members: { params: { project: string } & PageParams; result: Page<Member> };
    add_member: { params: { project: string; user_id: string; role: ProjectRole }; result: Member };
    update_member: { params: { project: string; user_id: string; role: ProjectRole }; result: Member };
    remove_member: { params: { project: string; user_id: string }; result: void };
  };
}

export const projects = remote<ProjectsContract>("projects");
