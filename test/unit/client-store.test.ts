import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import type { Status, Task } from "../../client/src/types.ts";
import { Board, flush } from "../support/model-board.ts";
import type { Fault, ModelServer } from "../support/model-server.ts";

const STATUSES: Status[] = ["pending", "in_progress", "completed", "cancelled", "archived"];

const nth = <Item>(items: Item[], at: number): Item | undefined => items[at % Math.max(1, items.length)];

type Step = (board: Board, at: number) => void | Promise<void>;

const index = fc.nat({ max: 5 });
const shown = (board: Board): Task[] => [...board.store.getSnapshot().tasks.values()];
/** Does something to a task that the user sees. */
const toShown = (act: (board: Board, task: Task) => void) =>
  index.map((which): Step => (board) => {
    const task = nth(shown(board), which);
    if (task !== undefined) act(board, task);
  });
/** Somebody else does something to a task of the server. */
const toServer = (act: (server: ModelServer, task: Task) => void) =>
  index.map((which): Step => ({ server }) => {
    const task = nth(server.order, which);
    if (task !== undefined)
      try {
        act(server, task);
      } catch {
        // The model refused it, as it would refuse it to anybody.
      }
  });
const others = { by: "user-2", request: null };

const steps = fc.array(
  fc.oneof(
    fc.constant<Step>((board, at) => board.create(`own ${at}`)),
    toShown((board, task) => void board.store.update(task.id, { title: `renamed ${task.title}` })),
    toShown((board, task) => void board.store.update(task.id, { description: `of ${task.title}` })),
    toShown(
      (board, task) => void board.additions.add(board.store.comment(task.id, `about ${task.title}`).change),
    ),
    toShown((board, task) => board.delete(task)),
    fc.tuple(index, fc.constantFrom(...STATUSES)).map(([which, to]): Step => (board) => {
      const task = nth(shown(board), which);
      if (task !== undefined) board.look(task, () => board.store.transition(task.id, to));
    }),
    fc
      .tuple(index, index, fc.constantFrom(...STATUSES), fc.boolean())
      .map(([which, where, status, isBefore]): Step => (board) => {
        const task = nth(shown(board), which);
        const other = nth([...board.store.getSnapshot().columns[status]], where);
        if (task === undefined) return;
        board.look(task, () =>
          board.store.move(task.id, {
            status,
            ...(other && (isBefore ? { before: other.id } : { after: other.id })),
          }),
        );
      }),
    fc.constant<Step>(({ server }, at) => void server.create({ title: `other ${at}` }, others)),
    toServer((server, task) => void server.patch(task.id, { title: `${task.title}!` }, null, others)),
    toServer((server, task) => void server.patch(task.id, { priority: "urgent" }, null, others)),
    fc
      .constantFrom(...STATUSES)
      .chain((to) => toServer((server, task) => void server.transition(task.id, to, others))),
    toServer((server, task) => void server.move(task.id, {}, others)),
    toServer((server, task) => void server.delete(task.id, null, others)),
    index.map(
      (back): Step =>
        (board) =>
          board.restore(Math.max(0, board.server.log.length - back)),
    ),
    fc.boolean().map(
      (isSlow): Step =>
        ({ server }) =>
          void (server.isSlow = isSlow),
    ),
    fc.nat({ max: 4 }).map(
      (most): Step =>
        (board) =>
          board.deliver(most),
    ),
    fc.constant<Step>((board) => board.drop()),
    fc.boolean().map(
      (recovered): Step =>
        (board) =>
          board.connect(recovered),
    ),
    fc
      .array(fc.constantFrom<Fault>("none", "request lost", "answer lost", "answer late", "busy"), {
        maxLength: 3,
      })
      .map(
        (faults): Step =>
          ({ server }) =>
            void server.faults.push(...faults),
      ),
    fc.constantFrom(100, 3000, 40_000).map(
      (ms): Step =>
        () =>
          jest.advanceTimersByTimeAsync(ms),
    ),
    fc.constant<Step>(() => flush()),
    fc.constant<Step>((board) => board.reload()),
  ),
  { maxLength: 60, size: "max" },
);

/** A restore while the client is away, and another event under the number of the last one that it has. */
const REPLACED: Step[] = [
  (board) => board.connect(true),
  () => flush(),
  ({ server }) => void server.create({ title: "First" }, others),
  (board) => board.deliver(1),
  () => flush(),
  (board) => board.drop(),
  (board) => board.restore(0),
  ({ server }) => void server.create({ title: "Another" }, others),
  (board) => board.connect(true),
];

/** A snapshot has what the connection has not brought yet, and a restore takes it away while the client is away. */
const AHEAD: Step[] = [
  (board) => board.connect(true),
  ({ server }) => void server.create({ title: "First" }, others),
  () => flush(),
  (board) => board.drop(),
  (board) => board.restore(0),
  (board) => board.connect(true),
];

/** The same, and as many events of the other history come before the stream is live. */
const REPLAYED: Step[] = [
  (board) => board.connect(true),
  ({ server }) => void server.create({ title: "First" }, others),
  () => flush(),
  (board) => board.drop(),
  (board) => board.restore(0),
  ({ server }) => void server.create({ title: "Another" }, others),
  ({ server }) => void server.create({ title: "One more" }, others),
  (board) => board.connect(true),
];

/** A card is made before the first snapshot has come. */
const LOADING: Step[] = [
  ({ server }) => void (server.isSlow = true),
  (board) => board.connect(true),
  (board, at) => board.create(`own ${at}`),
  () => flush(),
  (board) => board.deliver(1),
];

describe("whatever happens to requests, answers, events and the page", () => {
  beforeAll(
    () =>
      void jest.useFakeTimers({ doNotFake: ["queueMicrotask", "nextTick", "setImmediate", "performance"] }),
  );
  afterAll(() => void jest.useRealTimers());

  test("a store ends as the server is, and each change was made once, or says why not", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (played) => {
        const board = new Board();
        for (const [at, step] of played.entries()) {
          await step(board, at);
          expect(board.vanished).toEqual([]);
        }
        await board.heal();
        const { server, store, failures, additions } = board;
        const snapshot = store.getSnapshot();
        const byId = <Item extends { id: string }>(items: Iterable<Item>): Item[] =>
          [...items].sort((a, b) => (a.id < b.id ? -1 : 1));

        expect(snapshot).toMatchObject({ status: "live", waiting: 0 });
        expect(byId(snapshot.tasks.values())).toEqual(byId(server.tasks.values()));
        expect(byId([...snapshot.comments.values()].flat())).toEqual(byId(server.comments.values()));
        for (const status of STATUSES)
          expect(snapshot.columns[status].map(({ id }) => id)).toEqual(
            server.order.filter((task) => task.status === status).map(({ id }) => id),
          );
        expect(board.vanished).toEqual([]);
        expect(board.overridden).toEqual([]);
        // No change happened twice, and none of those that were refused happened at all.
        expect([...server.applied.values()].every((times) => times === 1)).toBe(true);
        for (const { id, state } of snapshot.changes) {
          expect(["failed", "conflict"]).toContain(state);
          expect(server.applied.has(id)).toBe(false);
        }
        const refused = new Set(snapshot.changes.map(({ id }) => id));
        for (const id of additions)
          if (!server.lost.has(id)) expect(refused.has(id)).toBe(!server.applied.has(id));
        expect(failures).toEqual([]);
        store.close();
      }),
      { seed: 1, numRuns: 300, examples: [[REPLACED], [AHEAD], [REPLAYED], [LOADING]] },
    );
  });
});
