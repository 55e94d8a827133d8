/** Writes of tasks and comments. */
import type { Answer } from "./http-client.ts";
import { remember, type Project, type Session } from "./world.ts";
import { event, type Writer, type Writes } from "./writer.ts";

const STATUSES = ["pending", "in_progress", "completed", "cancelled", "archived"];
const PRIORITIES = ["low", "medium", "high", "urgent"];
const DAY_MS = 86_400_000;

/** A task that is known; one is created where none is. */
async function taskOf(by: Writer, project: Project): Promise<string | null> {
  if (project.tasks.length === 0) await create(by, project);
  return project.tasks.length === 0 ? null : by.random.pick(project.tasks);
}

async function create(by: Writer, project: Project): Promise<void> {
  const body = { title: by.world.title(project), priority: by.random.pick(PRIORITIES) };
  const answer = await by.post(`/projects/${project.id}/tasks`, body, event("tasks.create"));
  if (answer.outcome === "ok") remember(project.tasks, answer.body.id);
}

async function comment(by: Writer, project: Project): Promise<void> {
  const task = await taskOf(by, project);
  if (task === null) return;
  const body = { body: by.world.title(project) };
  const answer = await by.post(`/tasks/${task}/comments`, body, event("comments.create"));
  if (answer.outcome === "ok") remember(project.comments, { task, id: answer.body.id, author: by.user.id });
}

/** Any field of a task, and its title, which no other task has. */
function fields(by: Writer, project: Project): object {
  const { random, world, user } = by;
  const categories = world.categoriesOf(user);
  return {
    title: world.title(project),
    ...(random.next() < 0.3 && { priority: random.pick(PRIORITIES) }),
    ...(random.next() < 0.2 && { description: `about ${world.title(project)}` }),
    ...(random.next() < 0.2 && {
      due_date: new Date(Date.now() + random.whole(2, 30) * DAY_MS).toISOString(),
    }),
    ...(random.next() < 0.2 && categories.length > 0 && { category_id: random.pick(categories).id }),
  };
}

/** Redacts something new whose text was a secret, as the project's owner. */
async function redactNew(
  by: Writer,
  project: Project,
  make: (secret: string, owner: Session) => Promise<{ path: string; answer: Answer }>,
  action: string,
): Promise<void> {
  const owner = await by.asOwner(project);
  if (owner === null) return;
  const secret = by.world.secret(project);
  const { path, answer } = await make(secret, owner);
  if (answer.outcome === "ok")
    await by.post(`${path}/${answer.body.id}/redact`, undefined, event(action, { redacts: secret }), owner);
}

export const taskWrites: Writes = {
  create: { weight: 20, make: create },
  createPersonal: {
    weight: 3,
    async make(by) {
      const assigned_to = by.random.next() < 0.5 ? by.user.id : null;
      const body = { title: by.world.personalTitle(), assigned_to };
      await by.post("/tasks", body, event("tasks.create_own"));
    },
  },
  patch: {
    weight: 20,
    async make(by, project) {
      const id = await taskOf(by, project);
      if (id === null) return;
      await by.send(
        { method: "PATCH", path: `/tasks/${id}`, body: fields(by, project) },
        event("tasks.patch"),
      );
    },
  },
  replace: {
    weight: 4,
    async make(by, project) {
      const id = await taskOf(by, project);
      const body = { description: "replaced", ...fields(by, project) };
      if (id !== null) await by.send({ method: "PUT", path: `/tasks/${id}`, body }, event("tasks.replace"));
    },
  },
  transition: {
    weight: 12,
    async make(by, project) {
      const id = await taskOf(by, project);
      const body = { to: by.random.pick(STATUSES) };
      if (id !== null) await by.post(`/tasks/${id}/transitions`, body, event("tasks.transition"));
    },
  },
  move: {
    weight: 12,
    async make(by, project) {
      const { random } = by;
      const id = await taskOf(by, project);
      if (id === null) return;
      const to = {
        ...(random.next() < 0.2 && { status: random.pick(STATUSES) }),
        ...(random.next() < 0.6 && { [random.pick(["before", "after"])]: random.pick(project.tasks) }),
      };
      // The task may be there already, and what it goes next to may be itself or elsewhere.
      await by.post(`/tasks/${id}/move`, to, { action: "tasks.move" });
    },
  },
  assign: {
    weight: 8,
    async make(by, project) {
      const id = await taskOf(by, project);
      const body = {
        assigned_to: by.random.next() < 0.3 ? null : by.random.pick(by.world.writers).id,
      };
      // The task may be theirs already.
      if (id !== null) await by.post(`/tasks/${id}/assign`, body, { action: "tasks.assign" });
    },
  },
  remove: {
    weight: 4,
    async make(by, project) {
      const id = await taskOf(by, project);
      if (id !== null) await by.send({ method: "DELETE", path: `/tasks/${id}` }, event("tasks.delete"));
    },
  },
  restore: {
    weight: 3,
    async make(by, project) {
      const id = await taskOf(by, project);
      if (id !== null) await by.post(`/tasks/${id}/restore`, undefined, { action: "tasks.restore" });
    },
  },
  bulk: {
    weight: 5,
    async make(by, project) {
      const { random, world } = by;
      const id = await taskOf(by, project);
      const created = { op: "create", project_id: project.id };
      const others = [
        { op: "update", id, ...fields(by, project) },
        { op: "transition", id, to: random.pick(STATUSES) },
        { op: "assign", id, assigned_to: by.user.id },
        { op: "delete", id },
      ];
      const operations = [
        { ...created, title: world.title(project) },
        { ...created, title: world.title(project) },
        ...(id === null ? [] : [random.pick(others)]),
      ];
      await by.post("/tasks/bulk", { operations }, event("tasks.bulk", { makesMany: true }));
    },
  },
  comment: { weight: 10, make: comment },
  editComment: {
    weight: 4,
    async make(by, project) {
      const own = project.comments.filter(({ author }) => author === by.user.id);
      if (own.length === 0) return comment(by, project);
      const { task, id } = by.random.pick(own);
      const body = { body: by.world.title(project) };
      const request = { method: "PATCH", path: `/tasks/${task}/comments/${id}`, body };
      await by.send(request, event("comments.patch"));
    },
  },
  removeComment: {
    weight: 2,
    async make(by, project) {
      if (project.comments.length === 0) return comment(by, project);
      const { task, id } = by.random.pick(project.comments);
      await by.send({ method: "DELETE", path: `/tasks/${task}/comments/${id}` }, event("comments.delete"));
    },
  },
  redact: {
    weight: 2,
    async make(by, project) {
      const id = await taskOf(by, project);
      // It may be redacted already: that changes nothing.
      if (id !== null) await by.post(`/tasks/${id}/redact`, undefined, { action: "tasks.redact" });
    },
  },
  redactNewTask: {
    weight: 2,
    make: (by, project) =>
      redactNew(
        by,
        project,
        async (title, owner) => {
          const answer = await by.post(
            `/projects/${project.id}/tasks`,
            { title },
            event("tasks.create"),
            owner,
          );
          return { path: "/tasks", answer };
        },
        "tasks.redact",
      ),
  },
  redactNewComment: {
    weight: 2,
    async make(by, project) {
      const task = await taskOf(by, project);
      const path = `/tasks/${task}/comments`;
      const make = async (body: string, owner: Session) => ({
        path,
        answer: await by.post(path, { body }, event("comments.create"), owner),
      });
      if (task !== null) await redactNew(by, project, make, "comments.redact");
    },
  },
};
