/** What follows from the lists of columns: a column that is added to one list is written, read, told and replaced. */
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import pg from "pg";
import { newId } from "../../core/ids.ts";
import type { UserContext } from "../../core/kit.ts";
import { type ColumnList, defineColumns } from "../../mixins/columns.ts";
import { type Database, openDatabase } from "../../mixins/database.ts";
import { memberColumns } from "../../services/projects/members.columns.ts";
import { projectColumns } from "../../services/projects/projects.columns.ts";
import { categoryColumns } from "../../services/tasks/categories.columns.ts";
import { commentColumns } from "../../services/tasks/comments.columns.ts";
import { Standings } from "../../services/tasks/standings.ts";
import { taskColumns, type TaskRow } from "../../services/tasks/tasks.columns.ts";
import { userColumns } from "../../services/users/users.columns.ts";
import type { BulkOperation, TaskInput } from "../../services/tasks/tasks.contract.ts";
import type { Written } from "../../services/tasks/tasks.commands.ts";
import { freshDatabase } from "../support/database.ts";
import { testConfig } from "../support/node.ts";

type Extended<T> = T & { one_more?: number | null };
type ExtendedRow = TaskRow & { one_more: number | null };

// The service's own code, on a list with one column more.
const list: ColumnList<ExtendedRow, Extended<TaskInput>, "completed_at" | "position"> = {
  ...taskColumns.list,
  one_more: { type: "int", default: null },
};
jest.unstable_mockModule("../../services/tasks/tasks.columns.ts", () => ({
  taskColumns: defineColumns<ExtendedRow, Extended<TaskInput>, "completed_at" | "position">(list),
}));
const { createTask, editTask } = await import("../../services/tasks/tasks.commands.ts");
const { patch, replacement } = await import("../../services/tasks/tasks.decisions.ts");
const { runBulk } = await import("../../services/tasks/bulk.commands.ts");
const { findTask } = await import("../../services/tasks/tasks.queries.ts");
const { taskListStatement } = await import("../../services/tasks/tasks.list.ts");

const actor = { id: newId(), role: "user", session: newId() } as const;
const conditions = { ifMatch: null, key: null };
const ctx = { locals: { actor, conditions }, meta: {}, requestID: "request-1" } as unknown as UserContext;

let client: pg.Client;
let db: Database;
let standings: Standings;

beforeAll(async () => {
  const databaseUrl = await freshDatabase();
  client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  db = openDatabase(testConfig(databaseUrl), () => {});
  standings = new Standings(db);
  await client.query(
    `INSERT INTO users.users (id, email, username, password_hash, role, created_at, updated_at, email_key, username_key)
     VALUES ($1, 'ada@example.com', 'ada', '', 'user', now(), now(), 'ada@example.com', 'ada')`,
    [actor.id],
  );
});
afterAll(async () => {
  await db?.close();
  await client?.end();
});

describe.each<[string, { list: Record<string, { type: string }> }]>([
  ["tasks.tasks", taskColumns],
  ["tasks.comments", commentColumns],
  ["tasks.categories", categoryColumns],
  ["projects.projects", projectColumns],
  ["projects.members", memberColumns],
  ["users.users", userColumns],
])("%s", (table, { list }) => {
  test("has each column of its list, with the type that the list says", async () => {
    const said = Object.entries(list).map(([name, { type }]) => ({ name, type }));
    const { rows } = await client.query<{ name: string; type: string }>(
      `SELECT c.name, c.type FROM json_to_recordset($2) AS c (name text, type text)
       JOIN pg_attribute a ON a.attrelid = $1::regclass AND a.attname = c.name AND a.atttypid = c.type::regtype`,
      [table, JSON.stringify(said)],
    );
    expect(rows).toEqual(expect.arrayContaining(said));
  });
});

describe("a column that a client may set", () => {
  beforeAll(() => client.query("ALTER TABLE tasks.tasks ADD COLUMN one_more int"));

  /** The value that the table has, that finding a task reads, and that a list reads. */
  const readBack = async (id: string): Promise<unknown[]> => {
    const { rows } = await client.query<ExtendedRow>("SELECT one_more FROM tasks.tasks WHERE id = $1", [id]);
    const found = await findTask(db, actor, id);
    const listed = await db.query<ExtendedRow>(taskListStatement(actor, {}, { limit: 100 }));
    return [rows[0], found, listed.find((task) => task.id === id)].map(
      (row) => (row as ExtendedRow | undefined)?.one_more,
    );
  };
  const told = ({ events }: Written<unknown>) => events.map(({ type, data }) => ({ type, ...data }));
  const updated = (old: number | null, now: number | null) => [
    expect.objectContaining({ type: "task_updated", changes: { one_more: { old, new: now } } }),
  ];
  const bulk = (...operations: Extended<BulkOperation>[]) =>
    runBulk(
      db,
      operations,
      { people: [], categories: [] },
      { actor, conditions, requestId: null, time: new Date().toISOString() },
    );

  let id: string;
  beforeEach(async () => {
    const input: Extended<TaskInput> = { title: "Write Note G", one_more: 5 };
    ({ id } = (await createTask(ctx, { db, standings }, null, input)).answer);
  });

  test("is written by a creation, and null without it", async () => {
    const { answer } = await createTask(ctx, { db, standings }, null, { title: "Write Note G" });
    expect([await readBack(id), await readBack(answer.id)]).toEqual([
      [5, 5, 5],
      [null, null, null],
    ]);
  });

  test("is written by a change, and an event tells the change", async () => {
    const edits: Extended<Partial<TaskInput>> = { one_more: 8 };
    const written = await editTask(ctx, db, id, edits, patch);
    expect(told(written)).toEqual(updated(5, 8));
    expect(await readBack(id)).toEqual([8, 8, 8]);
    expect(told(await editTask(ctx, db, id, edits, patch))).toEqual([]);
  });

  test("is written by a bulk request, and an event tells the change", async () => {
    expect(told(await bulk({ op: "update", id, one_more: 13 }))).toEqual(updated(5, 13));
    const { answer } = await bulk({ op: "create", title: "Write Note G", one_more: 21 });
    const made = answer.results[0]?.task?.id ?? "";
    expect([await readBack(id), await readBack(made)]).toEqual([
      [13, 13, 13],
      [21, 21, 21],
    ]);
  });

  test("goes back to its default by a replacement without it, and an event tells the change", async () => {
    const written = await editTask(ctx, db, id, { title: "Write Note G" }, replacement);
    expect(told(written)).toEqual(updated(5, null));
    expect(await readBack(id)).toEqual([null, null, null]);
  });
});
