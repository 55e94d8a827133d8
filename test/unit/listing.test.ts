import { describe, expect, test } from "@jest/globals";
import type { PageOf } from "../../core/pagination.ts";
import { costOf, listStatement, type Listing, Parameters, readPage } from "../../mixins/listing.ts";
import { taskListStatement, type TaskFilter } from "../../services/tasks/tasks.list.ts";
import { actorOf, idOf } from "./fixtures.ts";

const from = "tasks.tasks t";
const listing: Listing = {
  columns: "t.id",
  branches: [{ from, where: ["t.project_id = 'p'"] }],
  sorts: {
    created_at: { sql: "t.created_at", type: "timestamptz" },
    title: { sql: "lower(t.title)", type: "text" },
  },
  sort: "-created_at",
  indexed: ["created_at"],
  caller: idOf("a"),
};
const byCursor: PageOf = { limit: 20, cursor: "" };
const byOffset: PageOf = { limit: 20, offset: 0 };

describe("what a page may have to read", () => {
  const several = [{ each: "(SELECT) member_of", from, where: [] }];
  test.each<[string, Partial<Listing>, PageOf, string | undefined]>([
    ["a page of an index, by cursor", {}, byCursor, undefined],
    ["the same with its total", {}, byOffset, "bounded"],
    ["the same by default", {}, { limit: 20 }, "bounded"],
    ["the same where few were counted last", { known: { total: 1000, sql: "" } }, byOffset, undefined],
    ["… or many", { known: { total: 1001, sql: "" } }, byOffset, "bounded"],
    [
      "few that a filter leaves of many",
      { known: { total: 3, sql: "" }, filtered: true },
      byOffset,
      "unbounded",
    ],
    ["one out of an index for each project", { branches: several }, byCursor, "bounded"],
    ["one out of two indexes", { branches: [...listing.branches, ...listing.branches] }, byCursor, "bounded"],
    ["an order without an index", {}, { ...byCursor, sort: "title" }, "unbounded"],
    ["an order within an order", {}, { ...byCursor, sort: "created_at,title" }, "unbounded"],
    ["a filter without an index", { filtered: true }, byCursor, "unbounded"],
    ["what one person has, in whatever order", { small: true, filtered: true }, byCursor, "bounded"],
  ])("%s", (_, more, page, expected) => {
    expect(costOf({ ...listing, ...more }, page)).toBe(expected);
  });

  const user = actorOf("user");
  const inProject: TaskFilter = { project: idOf("b") };
  test.each<[string, TaskFilter, PageOf, string | undefined]>([
    ["a project's tasks by cursor", inProject, byCursor, undefined],
    ["a column of its board", { ...inProject, status: ["pending"] }, byCursor, undefined],
    ["by the due date", inProject, { ...byCursor, sort: "due_date" }, undefined],
    ["by priority", inProject, { ...byCursor, sort: "-priority" }, undefined],
    ["by title", inProject, { ...byCursor, sort: "title" }, "unbounded"],
    ["with a total", inProject, byOffset, "bounded"],
    ["all that the caller sees", {}, byCursor, "bounded"],
    ["the same by due date", {}, { ...byCursor, sort: "due_date" }, "bounded"],
    [
      "what is due soon, by due date",
      { due_date_to: "2026-01-01" },
      { ...byCursor, sort: "due_date" },
      "bounded",
    ],
    ["what is due soon, newest first", { due_date_to: "2026-01-01" }, byCursor, "unbounded"],
    ["the caller's own assignments", { assigned_to: "me" }, byCursor, undefined],
    ["another's assignments, most of which may be hidden", { assigned_to: idOf("c") }, byCursor, "unbounded"],
    ["the caller's assignments in a project", { ...inProject, assigned_to: "me" }, byCursor, "unbounded"],
    ["what is overdue", { overdue: true }, byCursor, "unbounded"],
    ["a status, wherever", { status: ["pending"] }, byCursor, "unbounded"],
    ["a priority", { ...inProject, priority: ["high"] }, byCursor, "unbounded"],
    ["a creator, most of whose tasks may be hidden", { created_by: idOf("c") }, byCursor, "unbounded"],
    ["what the caller created", { created_by: user.id }, byCursor, "bounded"],
    ["a category, whatever else", { category_id: idOf("c"), overdue: true }, byCursor, "bounded"],
    ["a time of the last change", { ...inProject, updated_since: "2026-01-01" }, byCursor, "unbounded"],
    ["a search", { ...inProject, q: "x" }, byCursor, "unbounded"],
    ["the deleted ones too", { ...inProject, include_deleted: true }, byCursor, "unbounded"],
    ["not the deleted ones, said outright", { ...inProject, include_deleted: false }, byCursor, undefined],
  ])("tasks: %s", (_, filter, page, expected) => {
    const { slow, by } = taskListStatement(user, filter, page);
    expect([slow, by]).toEqual([expected, expected && user.id]);
  });
});

describe("a list's statement", () => {
  test("has one name for one text, whatever its values", () => {
    const made = (limit: number) => listStatement(listing, { ...byCursor, limit }, new Parameters());
    const [first, second] = [made(15), made(20)];
    expect(first.name).toMatch(/^list-\d+$/);
    expect([second.name, second.text]).toEqual([first.name, first.text]);
    expect([first.values, second.values]).toEqual([
      [0, 16],
      [0, 21],
    ]);
    const other = listStatement(listing, { ...byCursor, sort: "created_at" }, new Parameters());
    expect(other.name).toMatch(/^list-\d+$/);
    expect(other.name).not.toBe(first.name);
  });

  test("says how far its page reaches along an index, in few steps", () => {
    const ends = [...Array(101).keys()].flatMap((n) => [n, n * 100]);
    const texts = ends.map((offset) => listStatement(listing, { limit: 20, offset }, new Parameters()).text);
    const reaches = texts.map((text) => Number(/LIMIT (\d+)\) page/.exec(text)?.[1] ?? Infinity));
    expect(new Set(reaches)).toEqual(new Set([21, 31, 51, 101, 1001, Infinity]));
    for (const [n, offset] of ends.entries()) expect(reaches[n]).toBeGreaterThan(offset + 20);
    const { text } = listStatement(listing, { ...byCursor, sort: "title" }, new Parameters());
    expect(text).not.toMatch(/LIMIT \d+\) page/);
  });

  test("that may read any number of rows has no name: Postgres plans it with its values", () => {
    const { name } = listStatement({ ...listing, filtered: true }, byCursor, new Parameters());
    expect(name).toBeUndefined();
  });

  test.each<[string, TaskFilter, boolean]>([
    ["a project's priorities", { project: idOf("b"), priority: ["high"] }, true],
    ["what is overdue in it", { project: idOf("b"), overdue: true, status: ["pending"] }, true],
    ["somebody's tasks in it: three, or half of them", { project: idOf("b"), assigned_to: "me" }, false],
    ["a search in it", { project: idOf("b"), q: "x" }, true],
    ["a search for somebody's tasks in it", { project: idOf("b"), q: "x", assigned_to: "me" }, false],
    ["priorities anywhere", { priority: ["high"] }, false],
  ])("has a name where all values are read alike: %s", (_, filter, isNamed) => {
    const { name } = taskListStatement(actorOf("user"), filter, byOffset);
    expect(name !== undefined).toBe(isNamed);
  });

  test.each(["nonsense", "{}", "[]", '["a"]', "[1,2]", '["a","b","c"]'])(
    "refuses the position %s",
    (cursor) => {
      expect(() => listStatement(listing, { limit: 1, cursor }, new Parameters())).toThrow(/cursor/);
    },
  );

  test("goes on after a position in the order of each key", () => {
    const cursor = JSON.stringify(["2026-01-01", "x", idOf("d")]);
    const page = { limit: 1, cursor, sort: "-created_at,title" };
    const { text, values } = listStatement(listing, page, new Parameters());
    expect(values?.slice(0, 3)).toEqual(["2026-01-01", "x", idOf("d")]);
    expect(text.replace(/\s+/g, " ")).toContain(
      "((t.created_at < $1::timestamptz) OR (t.created_at = $1::timestamptz AND lower(t.title) > $2::text) OR (t.created_at = $1::timestamptz AND lower(t.title) = $2::text AND t.id > $3::uuid))",
    );
    expect(text).toContain("ORDER BY t.created_at DESC, lower(t.title), t.id");
  });
});

describe("a page", () => {
  const read = (rows: object[], page: PageOf) =>
    readPage({ query: () => Promise.resolve(rows as never) }, { text: "" }, page, ({ id }) => id);
  const rows = (total: number | null, ...ids: (string | null)[]) =>
    ids.map((id) => ({ id, total, page_position: id && `after ${id}` }));

  test("leads on where there is a row more than it has room for", async () => {
    const { page } = await read(rows(null, "a", "b", "c"), { limit: 2, cursor: "" });
    expect(page).toEqual({ items: ["a", "b"], limit: 2, next_cursor: "after b" });
    expect((await read(rows(null, "a", "b"), { limit: 2, cursor: "" })).page.next_cursor).toBeNull();
  });

  test("past the end has a total and no items", async () => {
    const { page } = await read(rows(7, null), { limit: 2, offset: 8 });
    expect(page).toEqual({ items: [], limit: 2, next_cursor: null, offset: 8, total: 7 });
  });

  test.each([
    [10_000, { total: 10_000 }],
    [10_001, { total: 10_000, total_capped: true }],
  ])("of %i rows counts ten thousand", async (total, expected) => {
    const { page } = await read(rows(total, "a"), { limit: 1 });
    expect(page).toEqual({ items: ["a"], limit: 1, next_cursor: null, offset: 0, ...expected });
  });
});
