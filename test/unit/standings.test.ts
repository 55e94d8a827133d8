import { beforeEach, expect, test } from "@jest/globals";
import type { UserContext } from "../../core/kit.ts";
import type { Database, Queryable, Statement } from "../../mixins/database.ts";
import { Standings } from "../../services/tasks/standings.ts";
import { createTask } from "../../services/tasks/tasks.commands.ts";
import type { TaskInput } from "../../services/tasks/tasks.contract.ts";
import type { ProjectStanding } from "../../services/tasks/tasks.queries.ts";
import { actorOf, idOf, problem } from "./fixtures.ts";

const actor = actorOf("user");
const conditions = { ifMatch: null, key: null };
const ctx = { locals: { actor, conditions }, meta: {}, requestID: "request-1" } as unknown as UserContext;
const project = idOf("b");
const member: ProjectStanding = { id: project, status: "active", project_role: "member", members_version: 5 };

const [READ, WRITE] = ["tasks-project-by-id", "tasks-insert"];
/** What the database holds, and the names of the statements that it got. */
let [inDatabase, sent]: [ProjectStanding, string[]] = [member, []];
let [db, standings]: [Database, Standings] = [{} as Database, {} as Standings];

/** Postgres with one project: a commit compares the guard of its event with the version that is there. */
function answer({ name = "", values = [] }: Statement): object[] {
  sent.push(name);
  if (name === READ) return [inDatabase];
  if (name !== WRITE) return [];
  // Behind the event's own come its guard and the answer.
  const [id, guard] = [values.at(-10), values.at(-2)];
  return guard === inDatabase.members_version ? [{ id, seq: 1, previous_id: null }] : [];
}

beforeEach(() => {
  [inDatabase, sent] = [member, []];
  const on: Queryable = { query: (statement) => Promise.resolve(answer(statement) as never) };
  db = { ...on, interruptions: 0, transaction: (work: (tx: Queryable) => unknown) => work(on) } as never;
  standings = new Standings(db);
});

const create = (input: Partial<TaskInput> = {}) =>
  createTask(ctx, { db, standings }, project, { title: "Write Note G", ...input });
test("a second creation in a project reads no standing", async () => {
  await create();
  await create();
  expect(sent).toEqual([READ, WRITE, WRITE]);
});

test("one whose standing has changed since is decided anew", async () => {
  await create();
  inDatabase = { ...member, project_role: "viewer", members_version: 6 };
  await expect(create()).rejects.toEqual(problem("forbidden"));
  inDatabase = { ...member, members_version: 7 };
  await create();
  await create();
  expect(sent).toEqual([READ, WRITE, WRITE, READ, READ, WRITE, WRITE]);
});

test("nothing is refused by what is remembered: a member who has become a manager may assign", async () => {
  await create();
  inDatabase = { ...member, project_role: "manager", members_version: 6 };
  const assigning = create({ assigned_to: idOf("c") });
  // The fake has no assignee: it is looked for once it is clear that the caller may assign.
  await expect(assigning).rejects.not.toEqual(problem("forbidden"));
  expect(sent.slice(0, 3)).toEqual([READ, WRITE, READ]);
});

test("what a refused creation has read is not remembered, and neither is what a slug led to", async () => {
  inDatabase = { ...member, status: "archived" };
  await expect(create()).rejects.toEqual(problem("project-archived"));
  expect(standings.find(actor, project)).toBeUndefined();
  standings.keep(actor, "analytical-engine", member);
  expect(standings.find(actor, "analytical-engine")).toBeUndefined();
});

test("a lost connection to Postgres ends what is remembered: a restore comes with one", async () => {
  await create();
  (db as { interruptions: number }).interruptions += 1;
  await create();
  expect(sent).toEqual([READ, WRITE, READ, WRITE]);
});
