import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

/** Who may do what is decided before a write commits: whoever loses that meanwhile has lost it when it commits. */
let node: TestNode;
let db: pg.Client;
let [ada, ben, eve]: Person[] = [];
const ROUNDS = 25;

beforeAll(async () => {
  node = await startTestNode();
  db = new pg.Client({ connectionString: node.config.DATABASE_URL });
  await db.connect();
  [ada, ben, eve] = await Promise.all(["ada", "ben", "eve"].map((name) => node.api.person(name)));
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

async function project(...members: [Person, string][]): Promise<Wire> {
  const made = await ada!.api.must("POST", "/projects", { name: "Race" });
  for (const [{ id }, role] of members)
    await ada!.api.must("POST", `/projects/${made.id}/members`, { user_id: id, role });
  return made;
}

async function log(id: string): Promise<{ type: string; actor_id: string; data: Wire }[]> {
  const text = "SELECT type, actor_id, data FROM events.log WHERE stream = $1 ORDER BY seq";
  return (await db.query(text, [`project:${id}`])).rows as { type: string; actor_id: string; data: Wire }[];
}

/** Nothing of what the writers wanted comes after what took their right away. */
async function expectNothingAfter(id: string, type: string, after: string[]): Promise<void> {
  const types = (await log(id)).map((event) => event.type);
  expect(types.slice(types.indexOf(type) + 1).filter((one) => after.includes(one))).toEqual([]);
}

const statuses = (answers: Answer[]): number[] => [...new Set(answers.map(({ status }) => status))].sort();

test("an archived project takes no write any more, not even one that was under way", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { id } = await project();
    const task = await ada!.api.must("POST", `/projects/${id}/tasks`, { title: "Here" });
    const writes = [0, 1, 2, 3].flatMap((n) => [
      ada!.api.post(`/projects/${id}/tasks`, { title: `New ${n}` }),
      ada!.api.patch(`/tasks/${task.id}`, { title: `Changed ${n}` }),
      ada!.api.post(`/tasks/${task.id}/comments`, { body: `Word ${n}` }),
      ada!.api.post("/tasks/bulk", { operations: [{ op: "create", title: "Bulk", project_id: id }] }),
    ]);
    const [archived, ...answers] = await Promise.all([
      ada!.api.patch(`/projects/${id}`, { status: "archived" }),
      ...writes,
    ]);
    expect(archived.status).toBe(200);
    for (const status of statuses(answers)) expect([200, 201, 409, 422]).toContain(status);
    await expectNothingAfter(id, "project_updated", ["task_created", "task_updated", "comment_created"]);
  }
});

test("who is removed from a project is not assigned a task of it, and hears nothing of it", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { id } = await project([ben!, "member"]);
    const tasks = await Promise.all(
      [0, 1, 2].map((n): Promise<Wire> =>
        ada!.api.must("POST", `/projects/${id}/tasks`, { title: `Secret ${n}` }),
      ),
    );
    const [removed, ...answers] = await Promise.all([
      ada!.api.delete(`/projects/${id}/members/${ben!.id}`),
      ...tasks.map((task) => ada!.api.post(`/tasks/${task.id}/assign`, { assigned_to: ben!.id })),
      ada!.api.post(`/projects/${id}/tasks`, { title: "Secret", assigned_to: ben!.id }),
    ]);
    expect(removed.status).toBe(204);
    for (const status of statuses(answers)) expect([200, 201, 422]).toContain(status);
    await expectNothingAfter(id, "member_removed", ["task_assigned"]);
    const own = await db.query(
      `SELECT type, data #>> '{task,project_id}' AS project FROM events.log WHERE stream = $1
       AND seq > (SELECT max(seq) FROM events.log WHERE stream = $1 AND type = 'member_removed')`,
      [`user:${ben!.id}`],
    );
    expect(own.rows.filter((row) => (row as Wire).project === id)).toEqual([]);
  }
});

test("a member who is removed writes nothing after that", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { id } = await project([ben!, "member"]);
    const task = await ada!.api.must("POST", `/projects/${id}/tasks`, { title: "Here" });
    const another = () => ben!.api.post(`/projects/${id}/tasks`, { title: "Mine" });
    expect((await another()).status).toBe(201);
    const [removed, ...answers] = await Promise.all([
      ada!.api.delete(`/projects/${id}/members/${ben!.id}`),
      ...[0, 1, 2].flatMap((n) => [
        ben!.api.post(`/projects/${id}/tasks`, { title: `New ${n}` }),
        ben!.api.patch(`/tasks/${task.id}`, { title: `Changed ${n}` }),
        ben!.api.post(`/tasks/${task.id}/comments`, { body: `Word ${n}` }),
      ]),
    ]);
    expect(removed.status).toBe(204);
    for (const status of statuses(answers)) expect([200, 201, 404]).toContain(status);
    expect((await another()).status).toBe(404);
    const events = await log(id);
    const last = events.findLastIndex(({ actor_id }) => actor_id === ben!.id);
    expect(last).toBeGreaterThan(0);
    expect(last).toBeLessThan(events.findIndex(({ type }) => type === "member_removed"));
    // Each write that was answered with success is there.
    const made = answers.filter(({ status }) => status < 400).length;
    expect(events.filter(({ actor_id }) => actor_id === ben!.id)).toHaveLength(made + 1);
  }
});

test("of owners who go at once the one who stays is the owner that the project names", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { id } = await project([ben!, "owner"], [eve!, "owner"]);
    await Promise.all([ada!, ben!].map((one) => eve!.api.delete(`/projects/${id}/members/${one.id}`)));
    const found = await eve!.api.must("GET", `/projects/${id}`);
    expect(found.owner_id).toBe(eve!.id);
    const versions = (await log(id))
      .filter(({ type }) => type === "project_updated")
      .map(({ data }) => data.project.version as number);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
    expect(versions.at(-1)).toBe(found.version);
  }
});
