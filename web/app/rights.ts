/** What the reader may do, so that the page offers nothing that the server would refuse. The server decides. */
import type { ProjectSnapshot, Role, User } from "../../client/src/index.ts";

export interface Rights {
  /** Create, edit, move and comment. */
  write: boolean;
  /** Assign, delete, and manage members. */
  manage: boolean;
}

const WRITERS: readonly (Role | undefined)[] = ["member", "manager", "owner"];
const MANAGERS: readonly (Role | undefined)[] = ["manager", "owner"];

export function rightsOf({ project, members, status }: ProjectSnapshot, user: User): Rights {
  if (project === null || project.status === "archived" || status === "closed")
    return { write: false, manage: false };
  const everywhere = user.role === "manager" || user.role === "admin";
  const role = members.get(user.id)?.role;
  return { write: everywhere || WRITERS.includes(role), manage: everywhere || MANAGERS.includes(role) };
}
