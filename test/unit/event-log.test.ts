import { describe, expect, jest, test } from "@jest/globals";
import type { ServiceBroker } from "moleculer";
import type { Statement } from "../../mixins/database.ts";
import {
  commit,
  emitCommitted,
  EVENT_TYPES,
  type EventType,
  type LoggedEvent,
  type NewEvent,
} from "../../mixins/event-log.ts";
import { actorOf, idOf } from "./support.ts";

const newEvent = (id: string, type: EventType = "task_created"): NewEvent => ({
  id,
  stream: "project:p",
  type,
  time: "2026-11-21T09:30:00.000Z",
  actor_id: actorOf("user").id,
  request_id: null,
  data: { task: { title: "T" } },
});

describe("the parameter of a write", () => {
  const parameter = async (events: NewEvent[]) => {
    let [parameter]: unknown[] = [];
    const query = ({ values }: Statement) => {
      [parameter] = values ?? [];
      return Promise.resolve([]);
    };
    await commit({ query }, { text: "WITH …" }, events);
    return JSON.parse(parameter as string) as object[];
  };

  test("holds the events whole, in order", async () => {
    const events = [newEvent(idOf("a")), newEvent(idOf("b"))];
    expect(await parameter(events)).toEqual(
      events.map((event, ord) => ({ ...event, ord, access: 0, guard: null })),
    );
  });

  test("marks those, and only those, after which somebody may see more or less of the stream", async () => {
    const marked = (await parameter(EVENT_TYPES.map((type) => newEvent(type, type)))).filter(
      (event) => (event as { access: number }).access === 1,
    );
    expect(marked.map((event) => (event as NewEvent).type)).toEqual([
      "project_deleted",
      "project_restored",
      "member_added",
      "member_updated",
      "member_removed",
    ]);
    const changed = (field: string) => ({
      ...newEvent(idOf("a"), "project_updated"),
      data: { changes: { [field]: { old: 1, new: 2 } } },
    });
    // An archived project takes no writes.
    expect(await parameter(["name", "status"].map(changed))).toMatchObject([{ access: 0 }, { access: 1 }]);
  });
});

describe("a commit", () => {
  const statement = { text: "WITH …" };
  const answering = (rows: object[]) => ({ query: () => Promise.resolve(rows as never) });

  test("gives each event the number that the database gave it, in the order of the events", async () => {
    const db = answering([
      { id: idOf("b"), seq: 8 },
      { id: idOf("a"), seq: 7 },
    ]);
    const events = [newEvent(idOf("a")), newEvent(idOf("b"))];
    await expect(commit(db, statement, events)).resolves.toEqual([
      { ...events[0], seq: 7 },
      { ...events[1], seq: 8 },
    ]);
  });

  test("whose guard failed is null too: the number that it did not get fails the statement", async () => {
    const refused = Object.assign(new Error("null value"), { code: "23502", table: "log", column: "seq" });
    const db = { query: () => Promise.reject(refused) };
    await expect(commit(db, statement, [newEvent(idOf("a"))])).resolves.toBeNull();
    const other = Object.assign(new Error("null value"), { code: "23502", table: "tasks", column: "title" });
    await expect(
      commit({ query: () => Promise.reject(other) }, statement, [newEvent(idOf("a"))]),
    ).rejects.toBe(other);
  });

  test("whose condition failed is null: nothing happened", async () => {
    await expect(commit(answering([]), statement, [newEvent(idOf("a"))])).resolves.toBeNull();
  });

  test("of no event is a mistake of ours", async () => {
    await expect(commit(answering([]), statement, [])).rejects.toThrow(/event/);
  });
});

test("what was committed is told in one hint, and nothing when nothing was", () => {
  const emit = jest.fn(() => Promise.resolve());
  const broker = { emit } as unknown as ServiceBroker;
  const event: LoggedEvent = { ...newEvent(idOf("a")), seq: 1 };
  emitCommitted(broker, []);
  expect(emit).not.toHaveBeenCalled();
  emitCommitted(broker, [event, event]);
  expect(emit.mock.calls).toEqual([["events.committed", { events: [event, event] }]]);
});

test("a hint holds as many events as its bytes allow, whatever their characters take", () => {
  const emit = jest.fn((_name: string, _hint: { events: LoggedEvent[] }) => Promise.resolve());
  const broker = { emit } as unknown as ServiceBroker;
  // 90 kB of 30,000 characters each.
  const events = Array.from({ length: 10 }, (_, n): LoggedEvent => ({
    ...newEvent(idOf("a")),
    seq: n + 1,
    data: { text: "€".repeat(30_000) },
  }));
  emitCommitted(broker, events);
  const pieces = emit.mock.calls.map(([, hint]) => hint.events);
  expect(pieces.flat()).toEqual(events);
  for (const piece of pieces) expect(Buffer.byteLength(JSON.stringify(piece))).toBeLessThan(450_000);
  expect(pieces.map((piece) => piece.length)).toEqual([4, 4, 2]);
});
