import type pg from "pg";
import type { Role } from "../../core/kit.ts";
import { PASSWORD, type Person, type Wire } from "./api.ts";
import type { TestNode } from "./node.ts";

/** Everybody that a right may tell apart: the four roles of a project, then those who are no members of it. */
export const ACTORS = ["owner", "manager", "member", "viewer", "stranger", "boss", "admin"] as const;
export type Actor = (typeof ACTORS)[number];
/** `boss` is a global manager, `admin` a global admin; the others are plain users. */
export type Cast = Record<Actor, Person>;

/** A person with a global role, logged in with it. */
export async function personWithRole({ api }: TestNode, db: pg.Client, role: Role): Promise<Person> {
  const person = await api.person(role);
  await db.query("UPDATE users.users SET role = $2 WHERE id = $1", [person.id, role]);
  const { access_token, refresh_token } = await api.must("POST", "/auth/login", {
    login: person.username,
    password: PASSWORD,
  });
  return { ...person, token: access_token, refreshToken: refresh_token, api: api.as(access_token) };
}

/** The account may not log in any more. */
export async function deactivate(db: pg.Client, { id }: { id: string }): Promise<void> {
  await db.query("UPDATE users.users SET is_active = false WHERE id = $1", [id]);
}

/** Seven new people; none is in a project yet. */
export async function makeCast(node: TestNode, db: pg.Client): Promise<Cast> {
  const [owner, manager, member, viewer, stranger] = (await Promise.all(
    ACTORS.slice(0, 5).map((name) => node.api.person(name)),
  )) as [Person, Person, Person, Person, Person];
  const [boss, admin] = [await personWithRole(node, db, "manager"), await personWithRole(node, db, "admin")];
  return { owner, manager, member, viewer, stranger, boss, admin };
}

/** A project of the owner's, in which the manager, the member and the viewer have their roles. */
export async function makeProject(cast: Pick<Cast, "owner" | "manager" | "member" | "viewer">, fields = {}) {
  const { owner } = cast;
  const project: Wire = await owner.api.must("POST", "/projects", { name: "Launch", ...fields });
  for (const role of ["manager", "member", "viewer"] as const)
    await owner.api.must("POST", `/projects/${project.id}/members`, { user_id: cast[role].id, role });
  return project;
}
