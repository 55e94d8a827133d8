/** Each write of a store, and what a later or an earlier one of others does to it (client/docs/how-it-stays-right.md). */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { ProblemError, STATUSES, TRANSITIONS } from "../../client/src/index.ts";
import type { Change, Made, Place, Status, Task } from "../../client/src/types.ts";
import { TRANSITIONS as OF_THE_SERVER } from "../../services/tasks/tasks.status.ts";
import { Board, flush } from "../support/model-board.ts";

const others = { by: "user-2", request: null };

let board: Board;
beforeAll(
  () => void jest.useFakeTimers({ doNotFake: ["queueMicrotask", "nextTick", "setImmediate", "performance"] }),
);
afterAll(() => void jest.useRealTimers());
beforeEach(async () => {
  board = new Board();
  board.connect(true);
  await flush();
});
afterEach(() => board.store.close());

/** A task that everybody sees. */
async function make(title: string): Promise<Task> {
  const task = board.server.create({ title }, others);
  await settle();
  return task;
}
async function settle(): Promise<void> {
  board.connect(true);
  await flush();
  board.deliver(Infinity);
  await flush();
}
/** Does something while nothing reaches the server, and somebody else does something meanwhile. */
async function offline<Done>(mine: () => Done, theirs: () => unknown): Promise<Done> {
  board.drop();
  board.server.faults.push("request lost");
  const made = mine();
  await flush();
  theirs();
  await settle();
  return made;
}
const changeOf = ({ change }: Made): Change | undefined =>
  board.store.getSnapshot().changes.find(({ id }) => id === change);
const onServer = ({ id }: Task): Task => board.server.task(id);
const column = (status: Status): (string | null)[] =>
  board.server.order.filter((task) => task.status === status).map(({ title }) => title);
const setOnline = (isOnline: boolean): void =>
  void Object.defineProperty(globalThis.navigator, "onLine", { value: isOnline, configurable: true });

describe("somebody else was faster", () => {
  test.each<[string, (task: Task) => Made]>([
    ["move", ({ id }) => board.store.move(id, { status: "in_progress" })],
    ["transition", ({ id }) => board.store.transition(id, "in_progress")],
  ])("%s: another status is a conflict, which the user decides", async (_, act) => {
    const task = await make("Plan");
    const done = jest.fn();
    const made = await offline(
      () => act(task),
      () => board.server.transition(task.id, "completed", others),
    );
    made.done.catch(done);
    await flush();
    expect(onServer(task).status).toBe("completed");
    expect(changeOf(made)).toMatchObject({ state: "conflict", theirs: { status: "completed" } });
    expect(done).toHaveBeenCalledWith(expect.objectContaining({ status: 412 }));
    expect(board.store.getSnapshot().tasks.get(task.id)?.status).toBe("completed");
    // The user insists, having seen it.
    board.store.retry(made.change);
    await settle();
    expect(onServer(task).status).toBe("in_progress");
    expect(changeOf(made)).toBeUndefined();
  });

  test("assign: another person is a conflict", async () => {
    const task = await make("Plan");
    const made = await offline(
      () => board.store.assign(task.id, "user-1"),
      () => board.server.patch(task.id, { assigned_to: "user-3" }, null, others),
    );
    expect(changeOf(made)).toMatchObject({ state: "conflict", theirs: { assigned_to: "user-3" } });
    expect(onServer(task).assigned_to).toBe("user-3");
  });

  test.each<[string, (task: Task) => Made]>([
    ["move", ({ id }) => board.store.move(id, { status: "in_progress" })],
    ["transition", ({ id }) => board.store.transition(id, "in_progress")],
    ["assign", ({ id }) => board.store.assign(id, "user-1")],
    ["update", ({ id }) => board.store.update(id, { description: "Text" })],
  ])("%s: other fields are merged", async (_, act) => {
    const task = await make("Plan");
    const made = await offline(
      () => act(task),
      () => board.server.patch(task.id, { title: "Plan B" }, null, others),
    );
    expect(await made.done).toBe(task.id);
    expect(board.store.getSnapshot().changes).toEqual([]);
    expect(onServer(task)).toMatchObject({ title: "Plan B", version: 3 });
  });

  test("of two who want the same status a move joins, and a transition is told", async () => {
    const [one, two] = [await make("One"), await make("Two")];
    const [moved, claimed] = await offline(
      () => [
        board.store.move(one.id, { status: "in_progress" }),
        board.store.transition(two.id, "in_progress"),
      ],
      () => [one, two].map(({ id }) => board.server.transition(id, "in_progress", others)),
    );
    await settle();
    expect(changeOf(moved as Made)).toBeUndefined();
    expect(changeOf(claimed as Made)?.state).toBe("conflict");
  });

  test("own changes build on each other, and are no conflict", async () => {
    const task = await make("Plan");
    await offline(
      () => {
        board.store.move(task.id, { status: "in_progress" });
        board.store.update(task.id, { title: "Mine" });
        board.store.transition(task.id, "completed");
      },
      () => board.server.patch(task.id, { priority: "urgent" }, null, others),
    );
    await settle();
    expect(board.store.getSnapshot().changes).toEqual([]);
    expect(onServer(task)).toMatchObject({ status: "completed", title: "Mine", priority: "urgent" });
  });

  test.each<[string, Place]>([
    ["with the column", { status: "pending" }],
    ["without it", {}],
  ])("a new order %s passes by edits and other orders, and not by another column", async (_, place) => {
    const [one, two, three] = [await make("One"), await make("Two"), await make("Three")];
    const made = await offline(
      () => board.store.move(three.id, { ...place, before: one.id }),
      () => {
        board.server.patch(three.id, { title: "Three!" }, null, others);
        board.server.move(three.id, { before: two.id }, others);
      },
    );
    await made.done;
    expect(column("pending")).toEqual(["Three!", "One", "Two"]);
    const late = await offline(
      () => board.store.move(three.id, { ...place, after: two.id }),
      () => board.server.move(three.id, { status: "in_progress" }, others),
    );
    expect(changeOf(late)).toMatchObject({ state: "conflict", theirs: { status: "in_progress" } });
    expect(onServer(three).status).toBe("in_progress");
  });

  test.each<["before" | "after", string[]]>([
    ["before", ["One", "Card", "Three"]],
    ["after", ["One", "Card", "Three"]],
  ])("a move %s a card that has left goes to the place where that was", async (side, order) => {
    const names = ["One", "Two", "Three"];
    const [, two] = await Promise.all(names.map((name) => make(name)));
    const card = board.server.create({ title: "Card" }, others);
    board.server.transition(card.id, "in_progress", others);
    await settle();
    const made = await offline(
      () => board.store.move(card.id, { status: "pending", [side]: two?.id }),
      () => board.server.transition((two as Task).id, "completed", others),
    );
    await made.done;
    expect(column("pending")).toEqual(order);
  });

  test("a change of what somebody deleted is a conflict, and names it", async () => {
    const task = await make("Plan");
    const made = await offline(
      () => [
        board.store.update(task.id, { title: "Mine" }),
        board.store.comment(task.id, "Good"),
        board.store.move(task.id, { status: "completed" }),
      ],
      () => board.server.delete(task.id, null, others),
    );
    await settle();
    for (const one of made)
      expect(changeOf(one)).toMatchObject({ state: "conflict", theirs: null, problem: { status: 404 } });
    expect(made.map((one) => changeOf(one)?.seen?.title)).toEqual(["Plan", "Mine", "Mine"]);
    expect(board.store.getSnapshot().tasks.size).toBe(0);
  });
});

test("an illegal transition failed: nobody was faster", async () => {
  const task = await make("Plan");
  const made = [
    board.store.transition(task.id, "archived"),
    board.store.move(task.id, { status: "archived" }),
  ];
  await settle();
  for (const one of made)
    expect(changeOf(one)).toMatchObject({ state: "failed", theirs: null, problem: { status: 409 } });
});

describe("without a network", () => {
  afterEach(() => setOnline(true));

  test("a change is pending and nothing is asked; with the connection all goes at once", async () => {
    const task = await make("Plan");
    board.drop();
    setOnline(false);
    board.server.requests.length = 0;
    const made = board.store.update(task.id, { title: "Mine" });
    for (let second = 0; second < 60; second += 1) {
      await jest.advanceTimersByTimeAsync(1000);
      expect(changeOf(made)?.state).toBe("pending");
    }
    expect(board.server.requests).toEqual([]);
    setOnline(true);
    board.connect(true);
    await flush();
    expect(onServer(task).title).toBe("Mine");
  });

  test("what a dead server did not answer is pending between attempts, and goes at once when it is back", async () => {
    const task = await make("Plan");
    board.drop();
    board.server.faults.push(...Array<"request lost">(50).fill("request lost"));
    const made = board.store.update(task.id, { title: "Mine" });
    await jest.advanceTimersByTimeAsync(60_000);
    expect(changeOf(made)?.state).toBe("pending");
    board.server.faults.length = 0;
    board.connect(true);
    await flush();
    expect(onServer(task).title).toBe("Mine");
  });
});

describe("programs without types", () => {
  const wrong = { status: "done" } as unknown as { status: Status };

  test("are told of a wrong status at once, and the board still shows", async () => {
    const { id } = await make("Plan");
    for (const act of [
      () => board.store.move(id, wrong),
      () => board.store.create({ title: "New", ...wrong }),
      () => board.store.update(id, wrong as object),
      () => board.store.transition(id, wrong.status),
      () => board.store.transition(id, undefined as unknown as Status),
    ]) {
      expect(act).toThrow(TypeError);
      expect(act).toThrow("is not a status (pending, in_progress, completed, cancelled, archived");
    }
    expect(board.store.getSnapshot()).toMatchObject({ waiting: 0, changes: [] });
    // Fields that say nothing are left out, as JSON does it.
    board.store.create({ title: "New", status: undefined } as never);
    expect(board.store.getSnapshot().columns.pending).toHaveLength(2);
  });
});

test("a change that was kept with a status that is none does not break the board", async () => {
  const { id } = await make("Plan");
  board.drop();
  board.server.faults.push("request lost");
  const { change } = board.store.move(id, { status: "completed" });
  await flush();
  board.store.close();
  const [key] = (await board.storage.keys("")).filter((name) => name.endsWith(change));
  const kept = JSON.parse((await board.storage.get(key as string)) as string);
  kept.body = { status: "done" };
  await board.storage.set(key as string, JSON.stringify(kept));
  await board.reload();
  expect(board.store.getSnapshot().changes).toMatchObject([{ id: change }]);
});

test("after the login a store is closed, empty, and takes nothing", async () => {
  await make("Plan");
  board.drop();
  board.store.create({ title: "Secret" });
  const told = jest.fn();
  board.store.subscribe(told);
  board.store.close(true);
  await flush();
  expect(told).toHaveBeenCalled();
  const snapshot = board.store.getSnapshot();
  expect(snapshot).toMatchObject({ status: "closed", problem: { status: 401 }, changes: [], waiting: 0 });
  expect(snapshot.tasks.size).toBe(0);
  expect(STATUSES.flatMap((status) => snapshot.columns[status])).toEqual([]);
  expect(() => board.store.create({ title: "More" })).toThrow(ProblemError);
});

test("the client knows the server's ways between columns", () => {
  expect(TRANSITIONS).toEqual(OF_THE_SERVER);
  expect(STATUSES).toEqual(Object.keys(OF_THE_SERVER));
});
