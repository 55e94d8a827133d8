import { describe, expect, jest, test } from "@jest/globals";
import type { ServiceBroker } from "moleculer";
import type { Statement } from "../../mixins/database.ts";
import { type CommittedEvent, declareEvents, event, isEvent, type LoggedEvent } from "../../core/events.ts";
import {
  commit,
  type CommittedHint,
  emitCommitted,
  eventsOf,
  newEvent as declared,
  type NewEvent,
} from "../../mixins/event-log.ts";
import { EVENT_TYPES, EVENTS } from "../../services/events.ts";
import { actorOf, idOf } from "./fixtures.ts";

const newEvent = (id: string): NewEvent => ({
  id,
  stream: "project:p",
  type: "task_created",
  time: "2026-11-21T09:30:00.000Z",
  actor_id: actorOf("user").id,
  request_id: null,
  data: { task: { title: "T" } },
  movesAccess: false,
  outdates: [],
});

const statement = { name: "write", text: { one: "WITH one …", many: "WITH many …" } };

describe("the parameter of a write of several events", () => {
  const parameter = async (events: NewEvent[]) => {
    let [parameter]: unknown[] = [];
    const query = ({ values }: Statement) => {
      [parameter] = values ?? [];
      return Promise.resolve([]);
    };
    await commit({ query }, statement, events);
    return JSON.parse(parameter as string) as object[];
  };

  test("holds the events whole, in order", async () => {
    const events = [newEvent(idOf("a")), newEvent(idOf("b"))];
    expect(await parameter(events)).toEqual(
      events.map(({ movesAccess: _moves, outdates: _outdates, ...event }, ord) => ({
        ...event,
        ord,
        access: 0,
        guard: null,
      })),
    );
  });

  test("marks those whose declaration says that somebody may see or do more or less", async () => {
    const thing = declareEvents({
      named: event<{ name: string }>("It has a name.", () => []),
      shown: event<object>("It is shown.", () => [], { movesAccess: true }),
      painted: event<{ colour: string }>("It is painted.", () => [], {
        movesAccess: ({ colour }) => colour === "red",
      }),
    });
    const cause = { actor: null, requestId: null, time: "2026-11-21T09:30:00.000Z" };
    const events = [
      declared("project:p", thing.named, { name: "N" }, cause),
      declared("project:p", thing.shown, {}, cause),
      declared("project:p", thing.painted, { colour: "red" }, cause),
      declared("project:p", thing.painted, { colour: "blue" }, cause),
    ];
    expect(await parameter(events)).toMatchObject([0, 1, 1, 0].map((access) => ({ access })));
    expect(JSON.stringify(await parameter(events))).not.toContain("movesAccess");
    const [named] = events.map((one): LoggedEvent => ({ ...one, seq: 1 }));
    expect([isEvent(named as LoggedEvent, thing.named), isEvent(named as LoggedEvent, thing.shown)]).toEqual([
      true,
      false,
    ]);
  });

  test("which are memberships, a project that goes or comes back, and one that is archived", () => {
    const moving = EVENT_TYPES.filter((type) => EVENTS[type].movesAccess({ changes: {} } as never));
    expect(moving.toSorted()).toEqual([
      "member_added",
      "member_removed",
      "member_updated",
      "project_deleted",
      "project_restored",
    ]);
    const changed = (field: string) => ({ changes: { [field]: { old: 1, new: 2 } } }) as never;
    // An archived project takes no writes.
    expect(["name", "status"].map((field) => EVENTS.project_updated.movesAccess(changed(field)))).toEqual([
      false,
      true,
    ]);
  });
});

describe("a commit", () => {
  const answering = (rows: object[]) => ({ query: () => Promise.resolve(rows as never) });

  test("gives each event its number, and the id of the one before it, in the order of the events", async () => {
    const db = answering([
      { id: idOf("b"), seq: 8, previous_id: idOf("0") },
      { id: idOf("a"), seq: 7, previous_id: idOf("0") },
    ]);
    const events = [newEvent(idOf("a")), newEvent(idOf("b"))];
    const [first, second] = events.map(({ movesAccess: _moves, outdates: _outdates, ...event }) => event);
    await expect(commit(db, statement, events)).resolves.toEqual([
      { ...first, seq: 7, previous_id: idOf("0") },
      { ...second, seq: 8, previous_id: idOf("a") },
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

/** The part of a broker that hints leave by. */
const brokerOf = (broadcast: (...hint: never[]) => Promise<void>, listeners = 1): ServiceBroker => {
  const getAllEndpoints = () => Array.from({ length: listeners });
  return { broadcast, registry: { events: { getAllEndpoints } } } as unknown as ServiceBroker;
};

test("where no node listens no hint is made", () => {
  const broadcast = jest.fn(() => Promise.resolve());
  emitCommitted(brokerOf(broadcast, 0), [{ ...newEvent(idOf("a")), seq: 1, previous_id: null }]);
  expect(broadcast).not.toHaveBeenCalled();
});

test("what was committed is told in one hint, and nothing when nothing was", () => {
  const broadcast = jest.fn(() => Promise.resolve());
  const broker = brokerOf(broadcast);
  const event: CommittedEvent = { ...newEvent(idOf("a")), seq: 1, previous_id: null };
  emitCommitted(broker, []);
  expect(broadcast).not.toHaveBeenCalled();
  emitCommitted(broker, [event, event]);
  const text = JSON.stringify([event, event]);
  expect(broadcast.mock.calls).toEqual([
    ["events.committed", { $json: text, streams: ["project:p"], first: event.id }, {}],
  ]);
});

test("a hint holds as many events as its bytes allow, whatever their characters take", () => {
  const broadcast = jest.fn((_name: string, _hint: CommittedHint) => Promise.resolve());
  const broker = brokerOf(broadcast);
  // 90 kB of 30,000 characters each.
  const events = Array.from({ length: 10 }, (_, n): CommittedEvent => ({
    ...newEvent(idOf("a")),
    seq: n + 1,
    previous_id: null,
    data: { text: "€".repeat(30_000) },
  }));
  emitCommitted(broker, events);
  const pieces = broadcast.mock.calls.map(([, hint]) => eventsOf(hint));
  expect(pieces.flat()).toEqual(events);
  for (const piece of pieces) expect(Buffer.byteLength(JSON.stringify(piece))).toBeLessThan(450_000);
  expect(pieces.map((piece) => piece.length)).toEqual([4, 4, 2]);
});
