import type { Actor, Role } from "../../core/kit.ts";
import type { PersonalToken, SessionItem } from "./auth.contract.ts";

/** @param current the id of the session that asks */
export const sessionView = (
  { id, created_at, last_used_at, user_agent, address }: Omit<SessionItem, "current">,
  current: string,
): SessionItem => ({ id, created_at, last_used_at, user_agent, address, current: id === current });

export const personalTokenView = ({
  id,
  name,
  scope,
  project_ids,
  created_at,
  expires_at,
}: PersonalToken): PersonalToken => ({ id, name, scope, project_ids, created_at, expires_at });

/** A valid personal token with its user. */
export type ValidToken = Pick<PersonalToken, "id" | "scope" | "project_ids" | "expires_at"> & {
  user_id: string;
  role: Role;
};

/** The user that a personal token speaks for, within its scope and its projects. */
export const actorView = ({ id: session, user_id: id, role, scope, project_ids }: ValidToken): Actor => ({
  id,
  role,
  session,
  scope,
  ...(project_ids !== null && { projects: project_ids }),
});
