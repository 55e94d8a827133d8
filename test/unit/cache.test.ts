import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { CacheAgreement } from "../../mixins/cache-agreement.ts";
import { AnswerCache } from "../../mixins/cache.ts";
import { MemoryAnswers, WRITE_MS } from "../../mixins/cache-store.ts";
import { cachedProjectList, type ProjectItem } from "../../services/projects/projects.contract.ts";
import {
  cachedTask,
  cachedTaskList,
  type Task,
  type TaskDetail,
} from "../../services/tasks/tasks.contract.ts";
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

describe("a part of several answers", () => {
  const NAME = "task:1";
  /** An answer around the part, as a gateway gets it. */
  async function around(cache: AnswerCache, key: string, part: string): Promise<string> {
    const question = { key, viewer: "ada", user: "user:ada", names: [NAME] };
    const found = await cache.find("any", question);
    if (typeof found === "string") return found;
    const parts = [{ name: NAME, text: part, at: 2 }];
    if (found !== null) cache.keep(found, { names: [], text: `${key[0]}(é)`, parts });
    await Promise.resolve();
    return `${key[0]}(${part}é)`;
  }
  const both = async (cache: AnswerCache, part: string) => [
    await around(cache, "list", part),
    await around(cache, "detail", part),
  ];
  const shown = (text: string) => ({ name: NAME, text });
  async function kept(): Promise<AnswerCache> {
    const cache = await node(new Store(), new Row());
    for (let n = 0; n < 2; n++) await both(cache, "old");
    expect(await both(cache, "not read")).toEqual(["l(oldé)", "d(oldé)"]);
    return cache;
  }

  test("is what the last write says, in each of them, and they are not read again", async () => {
    const cache = await kept();
    for (const text of ["new", "newer"]) {
      const marks = cache.begin([NAME, "other"]);
      await marks.committed(shown(text));
      expect(await both(cache, "not read")).toEqual([`l(${text}é)`, `d(${text}é)`]);
    }
  });

  test("is read while a write is under way, and after one that does not say what it is", async () => {
    const cache = await kept();
    const marks = cache.begin([NAME]);
    expect(await both(cache, "read")).toEqual(["l(readé)", "d(readé)"]);
    await marks.committed();
    expect(await both(cache, "read again")).toEqual(["l(read againé)", "d(read againé)"]);
    expect(await both(cache, "not read")).toEqual(["l(read againé)", "d(read againé)"]);
  });

  test("is not what one of two writes says that were under way together, in whatever order they end", async () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const cache = await kept();
      const writes = [cache.begin([NAME]), cache.begin([NAME])];
      for (const n of order) await writes[n]?.committed(shown(`by ${n}`));
      expect(await both(cache, "read")).toEqual(["l(readé)", "d(readé)"]);
    }
  });

  test("that has become too long is read by the next one", async () => {
    const cache = await kept();
    await cache.begin([NAME]).committed(shown("x".repeat(4001)));
    expect(await both(cache, "read")).toEqual(["l(readé)", "d(readé)"]);
  });

  test("is not kept for a write of what nobody reads, nor for one that was given up as dead", async () => {
    const unread = await node(new Store(), new Row());
    await unread.begin([NAME]).committed(shown("new"));
    expect(await around(unread, "list", "read")).toBe("l(readé)");
    const cache = await kept();
    const late = cache.begin([NAME]);
    await jest.advanceTimersByTimeAsync(WRITE_MS + 1000);
    for (let n = 0; n < 2; n++) await both(cache, "old");
    await late.committed(shown("new"));
    expect(await both(cache, "read")).toEqual(["l(readé)", "d(readé)"]);
  });

  test("without a name is each caller's own, kept with the right to see the rest", async () => {
    const cache = await node(new Store(), new Row());
    const read = async (viewer: string, own: string) => {
      const found = await cache.find("any", { key: "shared", viewer, user: `user:${viewer}`, names: [] });
      if (typeof found === "string") return `kept: ${found}`;
      const kept = { names: [], realm: "realm", text: "()", parts: [{ name: "", text: own, at: 1 }] };
      if (found !== null) cache.keep(found, kept);
      await Promise.resolve();
      return own;
    };
    for (const viewer of ["ada", "ada", "ben"]) expect(await read(viewer, viewer)).toBe(viewer);
    expect([await read("ada", ""), await read("ben", "")]).toEqual(["kept: (ada)", "kept: (ben)"]);
    await write(cache, ["user:ada"]);
    expect([await read("ada", "new"), await read("ben", "")]).toEqual(["new", "kept: (ben)"]);
    expect(await read("ada", "")).toBe("kept: (new)");
    await write(cache, ["realm"]);
    expect([await read("ada", "gone"), await read("ben", "gone")]).toEqual(["gone", "gone"]);
  });

  test("of another epoch is no part of an answer", async () => {
    const [store, row] = [new Store(), new Row()];
    const cache = await node(store, row);
    for (let n = 0; n < 2; n++) await both(cache, "old");
    row.row = { store: store.id, epoch: "later", ms: 0 };
    await jest.advanceTimersByTimeAsync(400);
    expect(await around(cache, "list", "new")).toBe("l(newé)");
    expect(await around(cache, "detail", "new")).toBe("d(newé)");
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
    expect(cachedTask.names({ id }, user)).toEqual([`task:${name}`, `detail-of:${name}`]);
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

  test("a task's fields are a part of its detail, and of a page in the order of creation", () => {
    const task = { id: name, title: 'é " \\', version: 3, project_id: null } as Task;
    const detail = { ...task, project: null, creator: {}, assignee: null, category: null, comment_count: 1 };
    const parts = [{ name: `task:${name}`, text: JSON.stringify(task).slice(1, -1) }];
    expect(cachedTask.parts?.(detail as TaskDetail, { id })).toEqual(parts);
    const page = { items: [task], limit: 20, next_cursor: null };
    // As validation leaves them.
    const params = { project: id, limit: 20, status: undefined, q: undefined };
    expect(cachedTaskList.parts?.(page, params)).toEqual(parts);
    expect(cachedTaskList.parts?.(page, { project: id, sort: "title" })).toEqual([]);
    const long = { ...page, items: Array<Task>(26).fill(task) };
    expect(cachedTaskList.parts?.(long, { project: id })).toEqual([]);
    expect(cachedTaskList.about(long, { project: id }, user)?.names).toEqual([`tasks-of:${name}`]);
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
