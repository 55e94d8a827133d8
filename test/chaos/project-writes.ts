/** Writes of projects, of who is in them, and of what follows. */
import { setTimeout as delay } from "node:timers/promises";
import { ROLES } from "./world.ts";
import { event, type Writes } from "./writer.ts";

/** Milliseconds that a project stays deleted or archived. */
const AWAY_MS = 1500;

export const projectWrites: Writes = {
  addMember: {
    weight: 5,
    async make(by, project) {
      const session = await by.asOwner(project);
      if (session === null) return;
      const body = { user_id: by.random.pick(by.world.watchers).id, role: by.random.pick(ROLES) };
      await by.post(`/projects/${project.id}/members`, body, event("members.add"), session);
    },
  },
  changeMember: {
    weight: 3,
    async make(by, project) {
      const session = await by.asOwner(project);
      const path = `/projects/${project.id}/members/${by.random.pick(by.world.watchers).id}`;
      const request = { method: "PATCH", path, body: { role: by.random.pick(ROLES) } };
      if (session !== null) await by.send(request, { action: "members.change" }, session);
    },
  },
  removeMember: {
    weight: 4,
    async make(by, project) {
      const session = await by.asOwner(project);
      const path = `/projects/${project.id}/members/${by.random.pick(by.world.watchers).id}`;
      if (session !== null)
        await by.send({ method: "DELETE", path }, event("members.remove", { makesMany: true }), session);
    },
  },
  /** A member becomes owner, and makes the one before a manager. */
  handOver: {
    weight: 0.7,
    async make(by, project) {
      const { owner, members } = project;
      const others = by.world.writers.filter((user) => user !== owner && members.has(user));
      const session = await by.asOwner(project);
      if (session === null || others.length === 0) return;
      const next = by.random.pick(others);
      const note = { action: "members.hand_over" };
      const path = (id: string): string => `/projects/${project.id}/members/${id}`;
      const raised = { method: "PATCH", path: path(next.id), body: { role: "owner" } };
      if ((await by.insist(raised, note, session)) !== "ok") return;
      project.owner = next;
      const ofNext = await by.asOwner(project);
      const lowered = { method: "PATCH", path: path(owner.id), body: { role: "manager" } };
      if (ofNext !== null) await by.insist(lowered, note, ofNext);
    },
  },
  rename: {
    weight: 2,
    async make(by, project) {
      const session = await by.asOwner(project);
      const body = { name: by.world.title(project) };
      const request = { method: "PATCH", path: `/projects/${project.id}`, body };
      if (session !== null) await by.send(request, event("projects.patch"), session);
    },
  },
  replaceProject: {
    weight: 1,
    async make(by, project) {
      const session = await by.asOwner(project);
      const body = { name: by.world.title(project), description: `about ${by.world.title(project)}` };
      const request = { method: "PUT", path: `/projects/${project.id}`, body };
      if (session !== null) await by.send(request, event("projects.replace"), session);
    },
  },
  archive: {
    weight: 1,
    async make(by, project) {
      const session = await by.asOwner(project);
      if (session === null) return;
      const note = { action: "projects.archive" };
      const path = `/projects/${project.id}`;
      await by.send({ method: "PATCH", path, body: { status: "archived" } }, note, session);
      await delay(AWAY_MS);
      await by.insist({ method: "PATCH", path, body: { status: "active" } }, note, session);
    },
  },
  deleteProject: {
    weight: 0.7,
    async make(by, project) {
      const session = await by.asOwner(project);
      if (session === null) return;
      const path = `/projects/${project.id}`;
      await by.send({ method: "DELETE", path }, event("projects.delete", { makesMany: true }), session);
      await delay(AWAY_MS);
      await by.insist({ method: "POST", path: `${path}/restore` }, { action: "projects.restore" }, session);
    },
  },
  /** A project that subscribers hear of while they are connected; half of them stay. */
  createProject: {
    weight: 0.7,
    async make(by) {
      const body = { name: `A project of ${by.user.name}` };
      const { outcome, body: made } = await by.post("/projects", body, event("projects.create"));
      if (outcome !== "ok" || by.random.next() < 0.5) return;
      const request = { method: "DELETE", path: `/projects/${made.id}` };
      await by.send(request, event("projects.delete", { makesMany: true }));
    },
  },
};
