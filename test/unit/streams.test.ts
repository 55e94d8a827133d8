import { beforeEach, describe, expect, test } from "@jest/globals";
import type { Database, Statement } from "../../mixins/database.ts";
import type { CommittedEvent, Position } from "../../core/events.ts";
import type { ClientSocket } from "../../services/notifier/sockets.ts";
import type { Joined } from "../../services/notifier/joins.ts";
import { Streams } from "../../services/notifier/streams.ts";
import { idOf, problem } from "./fixtures.ts";

const [ADA, BEN] = [idOf("a"), idOf("b")];
const STREAM = `project:${idOf("1")}`;

/** A database that holds its answers back until a test lets them go, in the order that the test likes. */
class HeldDatabase {
  readonly asked: { statement: Statement; answer: (rows: object[]) => void }[] = [];
  /** What is answered at once, by the statement's name. */
  readonly known = new Map<string, (values: unknown[]) => object[]>([["events-moment", () => []]]);

  query<Row extends object>(statement: Statement): Promise<Row[]> {
    const { promise, resolve } = Promise.withResolvers<object[]>();
    this.asked.push({ statement, answer: resolve });
    const { name = "" } = statement;
    // The beat leaves out what has not moved, or gets it in vain.
    const known = this.known.get(name) ?? this.known.get(name === "events-moved" ? "events-heads" : name);
    if (known !== undefined) resolve(Promise.try(known, statement.values ?? []));
    return promise as Promise<Row[]>;
  }

  count(name: string): number {
    return this.asked.filter(({ statement }) => statement.name === name).length;
  }

  /** The nth question of a name, once it is asked. */
  async question(name: string, nth = 1): Promise<{ answer: (rows: object[]) => void }> {
    for (let turn = 0; turn < 1000 && this.count(name) < nth; turn++) await nextTurn();
    return this.asked.filter(({ statement }) => statement.name === name)[nth - 1] as never;
  }
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** Makes sockets that remember their frames. */
const io = {
  socket: (id: string, user: string, follows = true): FakeSocket => new FakeSocket(id, user, follows),
};

class FakeSocket {
  readonly frames: [name: string, data: any][] = [];
  disconnected = false;
  /** How often its connection was closed. */
  closed = 0;
  /** Bytes that its client has not read. */
  readonly unread = { bufferedAmount: 0, terminate: () => {} };
  readonly conn = {
    writeBuffer: [],
    transport: { socket: this.unread },
    close: () => (this.closed += 1),
    // An event comes as socket.io's packet.
    write: (packet: string) => this.frames.push(JSON.parse(packet.slice(1)) as [string, any]),
  };
  readonly data;
  readonly id: string;

  constructor(id: string, user: string, follows: boolean) {
    this.id = id;
    this.data = {
      actor: { id: user, role: "user", session: user },
      expiresAt: null,
      follows,
      streams: new Set<string>(),
      leftOut: 0,
    };
  }

  emit(name: string, data: unknown): void {
    this.frames.push([name, data]);
  }

  names(): string[] {
    return this.frames.map(([name]) => name);
  }

  /** The numbers of the events that came. */
  numbers(): number[] {
    return this.frames.flatMap(([, { seq }]) => seq ?? []);
  }
}

const idAt = (seq: number) => `event-${seq}`;
const at = (seq: number): Position => ({ seq, id: seq === 0 ? null : idAt(seq) });
const event = (seq: number, type = "task_updated", data: object = {}, stream = STREAM): CommittedEvent => ({
  id: idAt(seq),
  previous_id: at(seq - 1).id,
  stream,
  seq,
  type,
  time: "",
  actor_id: null,
  request_id: null,
  data,
});
/** An event as a row of the first span that was asked for. */
const firstSpan = (event: CommittedEvent) => ({ nth: 1, ...event });
const head = (name: string, number: number, members_version = 1) => ({
  name,
  head: number,
  last_id: at(number).id,
  members_version,
});
/** The answer where the stream is, and that the first who asks may read it, or may not. */
const seen = (last: number, mayRead = true) => [
  { nth: null, ...head(STREAM, last) },
  ...(mayRead ? [{ nth: 0, name: STREAM }] : []),
];
/** The answer to a member of all projects, whose streams are at the same number. */
const seenAll =
  (last: () => number) =>
  ([names, nths, , ids]: unknown[]) => [
    ...(names as string[]).map((name) => ({ nth: null, ...head(name, last()) })),
    ...(ids as string[]).map((id, at) => ({ nth: (nths as number[])[at], name: `project:${id}` })),
  ];
const removal = (seq: number) =>
  event(seq, "member_removed", { member: { user_id: ADA }, project: { id: idOf("1") } });

let db: HeldDatabase;
let streams: Streams;
const away = (): never => {
  throw new Error("away");
};
/** Lets a socket join the stream, whose last event has this number. */
async function joined(socket: FakeSocket, last: number): Promise<void> {
  db.known.set("events-heads", () => [head(STREAM, last)]);
  db.known.set("notifier-access", () => seen(last));
  await join(socket, new Map([[STREAM, null]]));
}
/** Joins streams. @returns how that ended, also of a socket that is gone, which nobody tells */
async function join(socket: FakeSocket, wanted: Map<string, Position | null>): Promise<Joined> {
  let joined: Joined = { places: new Map(), unreadable: [], leftOut: 0 };
  await streams.join(as(socket), wanted, (told) => (joined = told));
  return joined;
}
const as = (socket: FakeSocket) => socket as unknown as ClientSocket;

beforeEach(() => {
  db = new HeldDatabase();
  streams = new Streams(db as unknown as Database, { warn: () => {} });
});

describe("a join", () => {
  test("that overlaps a loss of access asks again, whichever answer comes first", async () => {
    await joined(io.socket("ben", BEN), 3);
    db.known.delete("notifier-access");
    const socket = io.socket("s", ADA);
    const joining = join(socket, new Map([[STREAM, at(2)]]));
    const access = await db.question("notifier-access", 2);
    // The answer was made before she was removed, and arrives after the event that removed her.
    streams.offer([removal(4)]);
    access.answer(seen(3));
    // The tail is ahead of the answer, which it settles.
    (await db.question("events-read")).answer([event(4)]);
    (await db.question("events-read-many")).answer([event(2), event(3), removal(4)].map(firstSpan));
    (await db.question("notifier-access", 3)).answer(seen(4, false));
    const { places, unreadable } = await joining;
    expect([places.size, unreadable]).toEqual([0, [STREAM]]);
    streams.offer([event(5, "task_created")]);
    expect(socket.frames).toEqual([]);
  });

  test("opens a stream where its access was read: a loss that is committed meanwhile is heard", async () => {
    const socket = io.socket("s", ADA);
    const joining = join(socket, new Map([[STREAM, null]]));
    const access = await db.question("notifier-access");
    streams.offer([removal(4)]);
    access.answer(seen(3));
    (await db.question("events-read")).answer([event(3), removal(4)]);
    (await db.question("notifier-access", 2)).answer(seen(4, false));
    expect((await joining).unreadable).toEqual([STREAM]);
    expect(db.count("events-heads")).toBe(0);
  });

  test("asks who may read a stream once its tail is open, which another join opens", async () => {
    const [first, second] = [io.socket("first", BEN), io.socket("second", ADA)];
    const opening = join(first, new Map([[STREAM, null]]));
    const access = await db.question("notifier-access");
    const joining = join(second, new Map([[STREAM, null]]));
    for (let turn = 0; turn < 3; turn++) await nextTurn();
    expect(db.count("notifier-access")).toBe(1);
    access.answer(seen(3));
    await opening;
    (await db.question("notifier-access", 2)).answer(seen(3, false));
    expect((await joining).unreadable).toEqual([STREAM]);
  });

  test("whose replay overlaps a loss of access sends nothing of what was read meanwhile", async () => {
    const first = [2, 3, 4, 5, 6].map((seq) => firstSpan(event(seq)));
    const socket = io.socket("s", ADA);
    const joining = join(socket, new Map([[STREAM, at(2)]]));
    (await db.question("notifier-access")).answer(seen(9));
    (await db.question("events-read-many")).answer(first);
    const rest = await db.question("events-read-many", 2);
    streams.offer([event(10, "member_updated", { member: { user_id: ADA }, project: { id: idOf("1") } })]);
    rest.answer([6, 7, 8, 9].map((seq) => firstSpan(event(seq))));
    (await db.question("notifier-access", 2)).answer(seen(10, false));
    expect((await joining).unreadable).toEqual([STREAM]);
    expect(socket.frames.map(([, { seq }]) => seq)).toEqual([3, 4, 5, 6]);
  });

  test("of thousands of streams, each of them behind, takes some hundred reads", async () => {
    const names = Array.from(
      { length: 5000 },
      (_, at) => `project:0198c0de-0000-7000-8000-${String(at).padStart(12, "0")}`,
    );
    db.known.set(
      "notifier-access",
      seenAll(() => 9),
    );
    db.known.set("events-read-many", ([spans]) =>
      (spans as string[]).flatMap((stream, at) =>
        [8, 9].map((seq) => ({ nth: at + 1, ...event(seq, "task_updated", {}, stream) })),
      ),
    );
    const socket = io.socket("s", ADA);
    const { places } = await join(socket, new Map(names.map((name) => [name, at(8)])));
    const positions = streams.positions(as(socket), places);
    expect(places.size).toBe(5000);
    expect(Object.values(positions).every(({ seq, recovered }) => seq === 9 && recovered)).toBe(true);
    expect(socket.frames).toHaveLength(5000);
    expect(db.asked.length).toBeLessThan(150);
  });

  test("with cursors ahead of this node reads where the database is once, for all of them", async () => {
    const names = [1, 2, 3].map((n) => `project:${idOf(String(n))}`);
    let last = 1;
    db.known.set(
      "notifier-access",
      seenAll(() => last),
    );
    await join(io.socket("other", BEN), new Map(names.map((name) => [name, null])));
    last = 2;
    db.known.set("events-read", ([stream]) =>
      [1, 2].map((seq) => event(seq, "task_updated", {}, stream as string)),
    );
    const socket = io.socket("s", ADA);
    const { places } = await join(
      socket,
      new Map(names.map((name, nth) => [name, nth === 2 ? at(7) : at(2)])),
    );
    expect(streams.positions(as(socket), places)).toEqual({
      [names[0]!]: { ...at(2), recovered: true },
      [names[1]!]: { ...at(2), recovered: true },
      // No node ever sent its event 7.
      [names[2]!]: { ...at(2), recovered: false },
    });
    expect(db.count("notifier-access")).toBe(2);
  });

  test("whose cursor is ahead, of a log that can't be read now, fails: that is no loss of events", async () => {
    await joined(io.socket("other", BEN), 1);
    db.known.set("notifier-access", () => seen(2));
    db.known.set("events-read", away);
    const joining = join(io.socket("s", ADA), new Map([[STREAM, at(2)]]));
    await expect(joining).rejects.toEqual(problem("database-unavailable"));
  });

  test("that the database refused is forgotten: the next one asks anew", async () => {
    const socket = io.socket("s", ADA);
    db.known.set("notifier-access", away);
    await expect(join(socket, new Map([[STREAM, null]]))).rejects.toThrow("away");
    await joined(socket, 3);
    streams.offer([event(4)]);
    expect(socket.names()).toEqual(["task_updated"]);
  });

  test("asks again where the socket speaks for a narrower token by now, or a beat found a change", async () => {
    for (const meanwhile of [
      (socket: FakeSocket) => void (socket.data.actor = { ...socket.data.actor, projects: [] } as never),
      async () => {
        db.known.set("events-heads", () => [head(STREAM, 1, 2)]);
        db.known.set("notifier-readers", () => []);
        await streams.beat();
      },
    ]) {
      streams = new Streams(db as unknown as Database, { warn: () => {} });
      db.asked.length = 0;
      await joined(io.socket("ben", BEN), 1);
      db.known.delete("notifier-access");
      const socket = io.socket("s", ADA);
      const joining = join(socket, new Map([[STREAM, null]]));
      const access = await db.question("notifier-access", 2);
      await meanwhile(socket);
      db.known.set("notifier-access", () => seen(1, false));
      access.answer(seen(1));
      expect((await joining).unreadable).toEqual([STREAM]);
      expect(socket.data.streams.has(STREAM)).toBe(false);
    }
  });

  test("of a socket that is gone by then leaves nothing behind", async () => {
    const socket = io.socket("s", ADA);
    const joining = join(socket, new Map([[STREAM, null]]));
    const access = await db.question("notifier-access");
    socket.disconnected = true;
    access.answer(seen(1));
    await joining;
    expect(socket.data.streams.size).toBe(0);
    await streams.beat();
    expect(db.count("events-moved")).toBe(0);
  });

  test("keeps its stream through a beat; a stream without listeners is forgotten", async () => {
    db.known.set("events-heads", () => [head(STREAM, 2)]);
    const socket = io.socket("s", ADA);
    const joining = join(socket, new Map([[STREAM, at(1)]]));
    (await db.question("notifier-access")).answer(seen(2));
    const page = await db.question("events-read-many");
    await streams.beat();
    page.answer([event(1), event(2)].map(firstSpan));
    await joining;
    streams.offer([event(3)]);
    expect(socket.numbers()).toEqual([2, 3]);
    db.known.set("events-heads", () => [head(STREAM, 3)]);
    await streams.beat();
    await streams.leave(as(socket), STREAM);
    const asked = db.asked.length;
    await streams.beat();
    expect(db.asked).toHaveLength(asked);
  });
});

describe("a token that renews another", () => {
  test("closes what it does not reach, once, whatever closes it meanwhile", async () => {
    const socket = io.socket("s", ADA);
    await joined(socket, 1);
    db.known.delete("notifier-access");
    const renewing = streams.renewed(as(socket));
    const access = await db.question("notifier-access", 2);
    streams.offer([removal(2)]);
    access.answer(seen(2, false));
    await renewing;
    expect(socket.names()).toEqual(["stream_closed"]);
  });

  test("lets the socket go where nobody can say what it reaches", async () => {
    const socket = io.socket("s", ADA);
    await joined(socket, 1);
    db.known.set("notifier-access", away);
    await expect(streams.renewed(as(socket))).rejects.toThrow("away");
    expect(socket.closed).toBe(1);
  });
});

test("a manager who is removed from a project sees it as long as it is there", async () => {
  const socket = io.socket("s", ADA);
  socket.data.actor.role = "manager";
  await joined(socket, 1);
  streams.offer([removal(2)]);
  expect(socket.names()).toEqual(["member_removed"]);
  for (const [version, readers] of [
    [2, [{ user_id: null }]],
    [3, []],
  ] as const) {
    db.known.set("events-heads", () => [head(STREAM, 2, version)]);
    db.known.set("notifier-readers", () => [...readers]);
    await streams.beat();
  }
  expect(socket.names()).toEqual(["member_removed", "stream_closed"]);
});

test("a log that could not be read is read again by the next beat", async () => {
  const socket = io.socket("s", ADA);
  await joined(socket, 1);
  db.known.set("events-read", away);
  streams.offer([event(3)]);
  await nextTurn();
  db.known.set("events-heads", () => [head(STREAM, 3)]);
  db.known.set("events-read", () => [event(1), event(2), event(3)]);
  await streams.beat();
  await nextTurn();
  expect(socket.frames.map(([, { seq }]) => seq)).toEqual([2, 3]);
});

test("a read of the log that outlives its stream's listeners sends nothing to those who come after them", async () => {
  const former = io.socket("former", ADA);
  await joined(former, 1);
  streams.offer([event(3)]);
  const late = await db.question("events-read");
  await streams.leave(as(former), STREAM);
  await streams.beat();
  const next = io.socket("next", BEN);
  await joined(next, 3);
  late.answer([event(1), event(2), event(3)]);
  await nextTurn();
  streams.offer([event(4)]);
  expect(next.frames.map(([, { seq }]) => seq)).toEqual([4]);
});

test("a project that is deleted closes its stream in the same turn: nothing follows its last event", async () => {
  const socket = io.socket("s", ADA);
  await joined(socket, 1);
  streams.offer([event(2, "project_deleted", { project: { id: idOf("1") } }), event(3)]);
  expect(socket.names()).toEqual(["project_deleted", "stream_closed"]);
});

describe("the beat", () => {
  test("asks anew who may read where that changed, and closes the stream for those that may not", async () => {
    const [ada, ben] = [io.socket("a", ADA), io.socket("b", BEN)];
    for (const socket of [ada, ben]) await joined(socket, 1);
    db.known.set("events-heads", () => [head(STREAM, 1, 2)]);
    // It goes on until it is answered.
    db.known.set("notifier-readers", away);
    await expect(streams.beat()).rejects.toThrow("away");
    db.known.set("notifier-readers", () => [{ user_id: ADA }]);
    await streams.beat();
    expect([ada.names(), ben.names()]).toEqual([[], ["stream_closed"]]);
    streams.offer([event(2)]);
    expect([ada.names(), ben.names()]).toEqual([["task_updated"], ["stream_closed"]]);
    await streams.beat();
    expect(db.count("notifier-readers")).toBe(2);
  });

  test("asks nothing of streams that were at rest at the same moment, until a commit or a tail moves", async () => {
    await joined(io.socket("s", ADA), 1);
    let sight: { session: string | null; snapshot: string } = { session: "1", snapshot: "7:7:" };
    db.known.set("events-moment", () => [sight]);
    db.known.set("events-moved", () => [{ ...sight, name: null }]);
    const askedIn = async (beats: number): Promise<number> => {
      const before = db.count("events-moved");
      for (let beat = 0; beat < beats; beat++) await streams.beat();
      return db.count("events-moved") - before;
    };
    expect(await askedIn(2)).toBe(1);
    sight = { session: "1", snapshot: "8:8:" };
    expect(await askedIn(2)).toBe(1);
    // Another history, which counts as many transactions.
    sight = { session: "2", snapshot: "8:8:" };
    expect(await askedIn(2)).toBe(1);
    streams.offer([event(2)]);
    expect(await askedIn(2)).toBe(1);
    // A standby can't tell.
    sight = { session: null, snapshot: "8:8:" };
    expect(await askedIn(2)).toBe(2);
  });
});
