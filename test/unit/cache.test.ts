import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { CacheAgreement } from "../../mixins/cache-agreement.ts";
import { AnswerCache } from "../../mixins/cache.ts";
import { MemoryAnswers, WRITE_MS } from "../../mixins/cache-store.ts";
import { cachedProjectList, type ProjectItem } from "../../services/projects/projects.contract.ts";
import { cachedTask, cachedTaskList } from "../../services/tasks/tasks.contract.ts";
import { actorOf } from "./fixtures.ts";

/** The row of the agreement. */
class Row {
  readonly interruptions = 0;
  row: { store: string; epoch: string; ms: number } | null = null;
  suspended = 0;
  async query<Result extends object>({
    name,
    values = [],
  }: {
    name: string;
    values?: unknown[];
  }): Promise<Result[]> {
    if (name === "cache-claim") this.row = { store: values[0] as string, epoch: "first", ms: 0 };
    if (name === "cache-suspend") {
      this.suspended += 1;
      this.row = {
        store: this.row?.store ?? "",
        epoch: `suspended-${this.suspended}`,
        ms: values[0] as number,
      };
    }
    return (this.row === null ? [] : [this.row]) as Result[];
  }
}

/** A store that a node may lose. */
class Store extends MemoryAnswers {
  fails = false;
  override begin(...args: Parameters<MemoryAnswers["begin"]>): Promise<void> {
    return this.fails ? Promise.reject(new Error("away")) : super.begin(...args);
  }
  override find(...args: Parameters<MemoryAnswers["find"]>): ReturnType<MemoryAnswers["find"]> {
    return this.fails ? Promise.reject(new Error("away")) : super.find(...args);
  }
}

const counter = { inc: () => {} } as never;
const agreements: CacheAgreement[] = [];

async function node(store: Store, row: Row): Promise<AnswerCache> {
  const agreement = new CacheAgreement(row, store, { warn: () => {} });
  agreements.push(agreement);
  const cache = new AnswerCache(store, agreement, { hits: counter, misses: counter });
  await cache.start();
  return cache;
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] });
});
afterEach(() => {
  agreements.splice(0).forEach((agreement) => agreement.stop());
  jest.useRealTimers();
});

/** The answer under a key, as a gateway gets it: out of the cache, or read and kept. */
async function answer(
  cache: AnswerCache,
  key: string,
  names: string[],
  read: () => string | Promise<string>,
  more: string[] = [],
): Promise<string> {
  const found = await cache.find("any", { key, viewer: "ada", user: "user:ada", names });
  if (typeof found === "string") return found;
  const text = await read();
  if (found !== null) cache.keep(found, { names: more, text });
  await Promise.resolve();
  return text;
}

async function write(cache: AnswerCache, names: string[]): Promise<void> {
  const marks = cache.begin(names);
  if (marks.ready !== null) await marks.ready;
  await marks.committed();
}

describe("an answer", () => {
  test("is read once, by all nodes together", async () => {
    const [store, row] = [new Store(), new Row()];
    const [one, two] = [await node(store, row), await node(store, row)];
    const read = jest.fn(() => "read");
    for (const each of [one, two, one]) expect(await answer(each, "key", ["name"], read)).toBe("read");
    expect(read).toHaveBeenCalledTimes(1);
  });

  test.each([
    ["that was known before it was read", ["task:1"], []],
    ["that the answer told", [], ["task:1"]],
  ])("is read anew once a name %s was outdated, by whichever node", async (_which, names, more) => {
    const [store, row] = [new Store(), new Row()];
    const [one, two] = [await node(store, row), await node(store, row)];
    // A name that is met for the first time gets its mark when the answer is to be kept.
    for (let n = 0; n < 2; n++) await answer(one, "key", names, () => "old", more);
    expect(await answer(one, "key", names, () => "not read", more)).toBe("old");
    await write(two, ["task:1"]);
    expect(await answer(one, "key", names, () => "new", more)).toBe("new");
  });

  test("is not kept when a write of its names began meanwhile, ended meanwhile, or is under way", async () => {
    const cache = await node(new Store(), new Row());
    await answer(cache, "key", ["name"], async () => (await write(cache, ["name"]), "old"));
    expect(await answer(cache, "key", ["name"], () => "new")).toBe("new");
    const marks = cache.begin(["name"]);
    expect(await answer(cache, "key", ["name"], () => "newer")).toBe("newer");
    expect(await answer(cache, "key", ["name"], () => "newest")).toBe("newest");
    await marks.committed();
    expect(await answer(cache, "key", ["name"], () => "last")).toBe("last");
    expect(await answer(cache, "key", ["name"], () => "not read")).toBe("last");
  });

  test("is kept again some seconds after a node died with a write of its names", async () => {
    const cache = await node(new Store(), new Row());
    cache.begin(["name"]);
    await jest.advanceTimersByTimeAsync(WRITE_MS - 1000);
    for (const text of ["old", "new"]) expect(await answer(cache, "key", ["name"], () => text)).toBe(text);
    await jest.advanceTimersByTimeAsync(2000);
    for (const text of ["last", "not read"])
      expect(await answer(cache, "key", ["name"], () => text)).toBe("last");
  });

  test("that is too long to be kept is read each time", async () => {
    const cache = await node(new Store(), new Row());
    const read = jest.fn(() => "x".repeat(64_001));
    for (let n = 0; n < 3; n++) await answer(cache, "key", ["name"], read);
    expect(read).toHaveBeenCalledTimes(3);
  });
});

describe("a write that can't mark what it outdates", () => {
  test("is answered when no node takes answers any more, and those after it do not wait", async () => {
    const [store, row] = [new Store(), new Row()];
    const [one, two] = [await node(store, row), await node(store, row)];
    await answer(two, "key", ["name"], () => "old");
    store.fails = true;
    const written = write(one, ["name"]).then(() => "answered");
    store.fails = false;
    expect(await Promise.race([written, Promise.resolve("waits")])).toBe("waits");
    await jest.advanceTimersByTimeAsync(1100);
    expect(await written).toBe("answered");
    expect(await answer(two, "key", ["name"], () => "new")).toBe("new");
    expect(row.suspended).toBe(1);
  });
});

describe("a store that others do not use", () => {
  test("answers nobody, and what is written beside it suspends the cache", async () => {
    const row = new Row();
    const one = await node(new Store(), row);
    await answer(one, "key", ["name"], () => "old");
    const two = await node(new Store(), row);
    await jest.advanceTimersByTimeAsync(400);
    expect(await answer(one, "key", ["name"], () => "new")).toBe("new");
    const written = write(one, ["name"]);
    await jest.advanceTimersByTimeAsync(2000);
    await written;
    expect(row.suspended).toBe(1);
    expect(
      await two.find("any", { key: "key", viewer: "ada", user: "user:ada", names: ["name"] }),
    ).toBeNull();
  });
});

describe("what is cached", () => {
  const id = "0190A8F0-0000-7000-8000-000000000001";
  const name = id.toLowerCase();
  const [user, manager] = [actorOf("user"), actorOf("manager")];

  test("a task by its id, in any case of its letters", () => {
    expect(cachedTask.names({ id }, user)).toEqual([`task:${name}`]);
    expect(cachedTask.names({ id: "1" }, user)).toBeNull();
  });

  test.each([
    ["the first page of a project, in its order", { project: id, limit: "50" }, `order-of:${name}`],
    ["the same by another way", { project_id: id, sort: "-created_at" }, `order-of:${name}`],
    ["another order", { project: id, sort: "title" }, `tasks-of:${name}`],
    ["a column", { project: id, status: "pending", cursor: "", offset: "0" }, `tasks-of:${name}`],
    ["a project by its slug", { project: "shared" }, null],
    ["personal tasks", { project_id: "none" }, null],
    ["a later page", { project: id, cursor: "x" }, null],
    ["a page with an offset", { project: id, offset: "20" }, null],
    ["what is overdue", { project: id, overdue: "true" }, null],
    ["deleted tasks", { project: id, include_deleted: "true" }, null],
    ["all tasks", {}, null],
  ])("%s: %j", (_what, params, first) => {
    expect(cachedTaskList.names(params, user)).toEqual(first && [first, `project:${name}`]);
  });

  test("a page is shared by those who may see its project, unless it has the caller's own tasks alone", () => {
    expect(cachedTaskList.isShared({ project: id })).toBe(true);
    expect(cachedTaskList.isShared({ project: id, assigned_to: "me" })).toBe(false);
    // A stranger gets an empty page.
    expect(cachedTaskList.isShared({ project_id: id })).toBe(false);
  });

  test("projects: all of a user's on one page, and any first page of a manager", () => {
    const page = { items: [{ id: name } as ProjectItem], limit: 20, next_cursor: null };
    expect(cachedProjectList.names({}, user)).toEqual([]);
    expect(cachedProjectList.about(page, {}, user)).toEqual({ names: [`project:${name}`] });
    expect(cachedProjectList.about({ ...page, next_cursor: "x" }, {}, user)).toBeNull();
    expect(cachedProjectList.names({ status: "active" }, user)).toBeNull();
    expect(cachedProjectList.names({ status: "active" }, manager)).toEqual(["projects"]);
    expect(cachedProjectList.names({ include_deleted: "true" }, manager)).toBeNull();
  });
});
