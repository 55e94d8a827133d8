/** A user who makes one write after another, of every kind, at a bounded rate. */
import { setTimeout as delay } from "node:timers/promises";
import type { Answer, CallNote, Request } from "./http-client.ts";
import type { Random } from "./random.ts";
import { type Project, ROLES, type Session, type User, type World } from "./world.ts";

/** How often each kind of write is made. */
const WEIGHTS = {
  create: 20,
  createPersonal: 3,
  patch: 20,
  replace: 4,
  transition: 12,
  assign: 8,
  remove: 4,
  restore: 3,
  bulk: 4,
  comment: 10,
  editComment: 4,
  removeComment: 2,
  addMember: 5,
  changeMember: 3,
  removeMember: 4,
  renameProject: 2,
  archive: 1,
  deleteProject: 0.7,
  logOut: 0.7,
  changePassword: 0.5,
  endAccount: 0.3,
} as const;

/** How often a writer tries a project that may not be theirs. */
const STRANGER = 0.1;
const STATUSES = ["pending", "in_progress", "completed", "cancelled", "archived"];
/** Milliseconds before its token expires when a writer logs in again. */
const FRESH_MS = 10_000;
/** Milliseconds that a project stays deleted or archived. */
const AWAY_MS = 1500;
/** Things of a project that writers remember. */
const MAX_KNOWN = 200;

const remember = <Item>(list: Item[], item: Item): void => {
  if (list.push(item) > MAX_KNOWN) list.shift();
};

const event = (action: string, more: Partial<CallNote> = {}): CallNote => ({
  action,
  leavesEvent: true,
  ...more,
});

export class Writer {
  readonly #world: World;
  readonly #random: Random;
  readonly #user: User;
  #session: Session | null = null;

  constructor(world: World, random: Random, user: User) {
    this.#world = world;
    this.#random = random;
    this.#user = user;
  }

  /** @param pauseMs between two writes, on average */
  async run(signal: AbortSignal, pauseMs: number): Promise<void> {
    while (!signal.aborted) {
      await delay(pauseMs * (0.5 + this.#random.next()));
      const kind = this.#random.weighted(WEIGHTS);
      const own = this.#world.projectsOf(this.#user);
      const isStranger = own.length === 0 || this.#random.next() < STRANGER;
      const project = this.#random.pick(isStranger ? this.#world.projects : own);
      if ((this.#session?.expiresAt ?? 0) < Date.now() + FRESH_MS)
        this.#session = await this.#world.logIn(this.#user);
      if (this.#session !== null && !signal.aborted) await this[kind](project);
    }
  }

  #send(request: Request, note: CallNote, session = this.#session): Promise<Answer> {
    const { user, token = "" } = session ?? { user: this.#user };
    return this.#world.http.send(request, { user: user.id, token }, note);
  }

  #post(path: string, body: object | undefined, note: CallNote, session?: Session): Promise<Answer> {
    return this.#send({ method: "POST", path, isKeyed: true, ...(body && { body }) }, note, session);
  }

  /** The session of a project's owner, who may do everything there. */
  #asOwner({ owner }: Project): Promise<Session | null> {
    return this.#world.logIn(owner);
  }

  /** A task that is known; one is created where none is. */
  async #task(project: Project): Promise<string | null> {
    if (project.tasks.length === 0) await this.create(project);
    return project.tasks.length === 0 ? null : this.#random.pick(project.tasks);
  }

  async create(project: Project): Promise<void> {
    const body = {
      title: this.#world.title(project),
      priority: this.#random.pick(["low", "medium", "high", "urgent"]),
    };
    const answer = await this.#post(`/projects/${project.id}/tasks`, body, event("tasks.create"));
    if (answer.outcome === "ok") remember(project.tasks, answer.body.id);
  }

  async createPersonal(): Promise<void> {
    const assigned_to = this.#random.next() < 0.5 ? this.#user.id : null;
    await this.#post(
      "/tasks",
      { title: this.#world.personalTitle(), assigned_to },
      event("tasks.create_own"),
    );
  }

  async patch(project: Project): Promise<void> {
    const id = await this.#task(project);
    const body = { title: this.#world.title(project) };
    if (id !== null) await this.#send({ method: "PATCH", path: `/tasks/${id}`, body }, event("tasks.patch"));
  }

  async replace(project: Project): Promise<void> {
    const id = await this.#task(project);
    const body = { title: this.#world.title(project), description: "replaced" };
    if (id !== null) await this.#send({ method: "PUT", path: `/tasks/${id}`, body }, event("tasks.replace"));
  }

  async transition(project: Project): Promise<void> {
    const id = await this.#task(project);
    const body = { to: this.#random.pick(STATUSES) };
    if (id !== null) await this.#post(`/tasks/${id}/transitions`, body, event("tasks.transition"));
  }

  async assign(project: Project): Promise<void> {
    const id = await this.#task(project);
    const body = {
      assigned_to: this.#random.next() < 0.3 ? null : this.#random.pick(this.#world.writers).id,
    };
    // The task may be theirs already.
    if (id !== null) await this.#post(`/tasks/${id}/assign`, body, { action: "tasks.assign" });
  }

  async remove(project: Project): Promise<void> {
    const id = await this.#task(project);
    if (id !== null) await this.#send({ method: "DELETE", path: `/tasks/${id}` }, event("tasks.delete"));
  }

  async restore(project: Project): Promise<void> {
    const id = await this.#task(project);
    if (id !== null) await this.#post(`/tasks/${id}/restore`, undefined, { action: "tasks.restore" });
  }

  async bulk(project: Project): Promise<void> {
    const id = await this.#task(project);
    const operations = [
      { op: "create", project_id: project.id, title: this.#world.title(project) },
      { op: "create", project_id: project.id, title: this.#world.title(project) },
      ...(id === null ? [] : [{ op: "update", id, title: this.#world.title(project) }]),
    ];
    await this.#post("/tasks/bulk", { operations }, event("tasks.bulk", { makesMany: true }));
  }

  async comment(project: Project): Promise<void> {
    const task = await this.#task(project);
    if (task === null) return;
    const body = { body: this.#world.title(project) };
    const answer = await this.#post(`/tasks/${task}/comments`, body, event("comments.create"));
    if (answer.outcome === "ok")
      remember(project.comments, { task, id: answer.body.id, author: this.#user.id });
  }

  async editComment(project: Project): Promise<void> {
    const own = project.comments.filter(({ author }) => author === this.#user.id);
    if (own.length === 0) return this.comment(project);
    const { task, id } = this.#random.pick(own);
    const request = {
      method: "PATCH",
      path: `/tasks/${task}/comments/${id}`,
      body: { body: this.#world.title(project) },
    };
    await this.#send(request, event("comments.patch"));
  }

  async removeComment(project: Project): Promise<void> {
    if (project.comments.length === 0) return this.comment(project);
    const { task, id } = this.#random.pick(project.comments);
    await this.#send({ method: "DELETE", path: `/tasks/${task}/comments/${id}` }, event("comments.delete"));
  }

  async addMember(project: Project): Promise<void> {
    const session = await this.#asOwner(project);
    if (session === null) return;
    const body = { user_id: this.#random.pick(this.#world.watchers).id, role: this.#random.pick(ROLES) };
    await this.#post(`/projects/${project.id}/members`, body, event("members.add"), session);
  }

  async changeMember(project: Project): Promise<void> {
    const session = await this.#asOwner(project);
    const path = `/projects/${project.id}/members/${this.#random.pick(this.#world.watchers).id}`;
    const request = { method: "PATCH", path, body: { role: this.#random.pick(ROLES) } };
    if (session !== null) await this.#send(request, { action: "members.change" }, session);
  }

  async removeMember(project: Project): Promise<void> {
    const session = await this.#asOwner(project);
    const path = `/projects/${project.id}/members/${this.#random.pick(this.#world.watchers).id}`;
    if (session !== null)
      await this.#send({ method: "DELETE", path }, event("members.remove", { makesMany: true }), session);
  }

  async renameProject(project: Project): Promise<void> {
    const session = await this.#asOwner(project);
    const body = { name: this.#world.title(project) };
    const request = { method: "PATCH", path: `/projects/${project.id}`, body };
    if (session !== null) await this.#send(request, event("projects.patch"), session);
  }

  async archive(project: Project): Promise<void> {
    const session = await this.#asOwner(project);
    if (session === null) return;
    const note = { action: "projects.archive" };
    const path = `/projects/${project.id}`;
    await this.#send({ method: "PATCH", path, body: { status: "archived" } }, note, session);
    await delay(AWAY_MS);
    await this.#insist({ method: "PATCH", path, body: { status: "active" } }, note, session);
  }

  async deleteProject(project: Project): Promise<void> {
    const session = await this.#asOwner(project);
    if (session === null) return;
    const path = `/projects/${project.id}`;
    await this.#send({ method: "DELETE", path }, event("projects.delete", { makesMany: true }), session);
    await delay(AWAY_MS);
    await this.#insist({ method: "POST", path: `${path}/restore` }, { action: "projects.restore" }, session);
  }

  /** Sends what must not stay undone until there is an answer, for half a minute at the most. */
  async #insist(request: Request, note: CallNote, session: Session): Promise<void> {
    for (let attempt = 0; attempt < 30; attempt++) {
      const { outcome } = await this.#send(request, note, session);
      if (outcome === "ok" || outcome === "refused") return;
      await delay(1000);
    }
  }

  async logOut(): Promise<void> {
    const user = this.#random.pick(this.#world.watchers);
    const session = await this.#world.logIn(user);
    if (session === null) return;
    const isAll = this.#random.next() < 0.5;
    const path = isAll ? "/auth/logout-all" : "/auth/logout";
    const ends = { user: user.id, ...(isAll ? { keepsTokens: true } : { session: session.id }) };
    await this.#send({ method: "POST", path }, { action: "auth.logout", ends }, session);
  }

  async changePassword(): Promise<void> {
    const user = this.#random.pick(this.#world.watchers);
    const session = await this.#world.logIn(user);
    const [current = ""] = user.passwords;
    if (session === null) return;
    const next = `another of ${this.#world.title(this.#random.pick(this.#world.projects))}`.slice(0, 100);
    user.passwords = [next, ...user.passwords];
    const body = { current_password: current, password: next };
    const ends = { user: user.id, except: session.id };
    const note = { action: "auth.change_password", ends };
    await this.#send({ method: "POST", path: "/auth/password/change", body }, note, session);
  }

  async endAccount(): Promise<void> {
    const user = this.#world.guests.find(({ isGone }) => !isGone);
    const session = user && (await this.#world.logIn(this.#world.admin));
    if (!user || !session) return;
    user.isGone = true;
    const isErased = this.#random.next() < 0.5;
    const note = {
      action: isErased ? "users.erase" : "users.deactivate",
      ends: { user: user.id },
      makesMany: true,
    };
    const path = `/users/${user.id}`;
    const request = isErased
      ? { method: "DELETE", path }
      : { method: "PATCH", path, body: { is_active: false } };
    await this.#insist(request, note, session);
  }
}
