import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { judge } from "../chaos/checker.ts";
import { type Finding, FINDINGS } from "../chaos/findings.ts";
import {
  type Call,
  type Drag,
  type Dragging,
  type LoggedMove,
  readRecording,
  type Recording,
  type Signal,
  type StoreReport,
  writeRecording,
} from "../chaos/recording.ts";
import { ANN, BOB, CAT, PROJECT, soundRecording, STREAM } from "../chaos/sound-recording.ts";

type EventSignal = Extract<Signal, { kind: "event" }>;

const nonZero = (recording: Recording): Partial<Record<Finding, number>> =>
  Object.fromEntries(Object.entries(judge(recording).findings.counts).filter(([, count]) => count !== 0));

const indexOf = ({ signals }: Recording, seq: number, client: string): number =>
  signals.findIndex((one) => one.kind === "event" && one.client === client && one.seq === seq);
const frameOf = (recording: Recording, seq: number, client = "ann"): EventSignal =>
  recording.signals[indexOf(recording, seq, client)] as EventSignal;
/** Adds a signal where its time puts it. */
const insert = (recording: Recording, signal: Signal): void => {
  recording.signals.push(signal);
  recording.signals.sort((a, b) => a.at - b.at);
};
const rowsOf = (recording: Recording) => recording.histories[0]?.rows ?? [];

/** Where the subscriber of Ann's that ends with its session says whose token it has, and the request that ends it. */
function personalOf({ signals, calls }: Recording) {
  const opened = signals.find(({ kind, client }) => kind === "opened" && client === "session");
  const logout = calls.find(({ id }) => id === "logout");
  return { opened: opened as Extract<Signal, { kind: "opened" }>, logout: logout as Call };
}

/** A rollout restarts a node in the last second of the recording. */
const rollOut = (r: Recording): void =>
  void r.faults.push({
    name: "SIGTERM",
    target: "tasks-1",
    began: r.ended - 1000,
    ended: r.ended,
    isBounded: true,
  });

const storeOf = (more: Partial<StoreReport>): StoreReport => ({
  client: "sdk0",
  stream: "project:p",
  status: "live",
  made: 1,
  waiting: 0,
  refused: 0,
  differences: [],
  doubled: [],
  errors: [],
  ...more,
});

const moveOf = (task: string, position: string, more: Partial<LoggedMove> = {}): LoggedMove => ({
  request_id: null,
  committed: 1,
  task,
  status: "pending",
  position,
  ...more,
});
/** The card c is dragged before a, of a column a, b, c. */
function draggingOf({
  drag,
  moved,
  ...more
}: Partial<Dragging> & { drag?: Partial<Drag>; moved?: LoggedMove[] }): Dragging {
  const order = ["c", "a", "b"];
  return {
    drags: [
      { id: "d", client: "sdk0", at: 2, task: "c", status: "pending", before: "a", outcome: "done", ...drag },
    ],
    cuts: 0,
    moves: [
      ...[moveOf("a", "1"), moveOf("b", "2"), moveOf("c", "3")],
      ...(moved ?? [moveOf("c", "05", { request_id: "d", committed: 3 })]),
    ],
    orders: { Postgres: order, REST: order, sdk0: order },
    ...more,
  };
}

/** What is spoiled, how, and what the checker counts then. */
const MUTATIONS: [what: string, spoil: (recording: Recording) => void, Partial<Record<Finding, number>>][] = [
  ["a frame is dropped", (r) => r.signals.splice(indexOf(r, 5, "ann"), 1), { lost: 1, state_differs: 1 }],
  [
    "the last frame is dropped",
    (r) => r.signals.splice(indexOf(r, 10, "ann"), 1),
    { lost: 1, state_differs: 1 },
  ],
  ["a frame comes twice", (r) => insert(r, { ...frameOf(r, 5) }), { repeated: 1 }],
  [
    "two frames are swapped",
    (r) => {
      const [at, next] = [indexOf(r, 5, "ann"), indexOf(r, 6, "ann")];
      [r.signals[at], r.signals[next]] = [frameOf(r, 6), frameOf(r, 5)];
    },
    { out_of_order: 1, state_differs: 1 },
  ],
  ["a frame is in no log", (r) => (frameOf(r, 10).id = CAT), { phantom: 1, lost: 1, state_differs: 1 }],
  ["a frame differs", (r) => (frameOf(r, 5).digest = "other"), { altered: 1 }],
  [
    "a frame is late",
    (r) => insert(r, { ...(r.signals.splice(indexOf(r, 10, "ann"), 1)[0] as Signal), at: r.began + 13_000 }),
    { late: 1 },
  ],
  [
    "a member gets what was committed after the removal",
    (r) => insert(r, { ...frameOf(r, 8), client: "bob", at: r.began + 8500 }),
    { leaked: 1, not_closed: 1 },
  ],
  ["a frame tells of a foreign project", (r) => frameOf(r, 5).tags.push(CAT), { leaked: 1 }],
  [
    "another user's stream is sent",
    (r) => {
      rowsOf(r).push({ ...rowsOf(r)[0]!, stream: `user:${CAT}`, seq: 1, id: CAT });
      r.signals.push({ ...frameOf(r, 10), stream: `user:${CAT}`, seq: 1, id: CAT, digest: "d1" });
    },
    { leaked: 1 },
  ],
  [
    "a lost stream is never closed",
    (r) =>
      r.signals.splice(
        r.signals.findIndex(({ kind }) => kind === "stream_closed"),
        1,
      ),
    { not_closed: 1 },
  ],
  [
    "a socket stays open after its session ended",
    (r) =>
      (r.signals = r.signals.filter(
        (s) => s.client !== "session" || !["dismissed", "closed"].includes(s.kind),
      )),
    { not_closed: 1, lost: 2, state_differs: 2 },
  ],
  [
    "a socket stays open after its token expired",
    (r) =>
      (r.signals = r.signals.filter(
        (s) => s.client !== "token" || !["dismissed", "closed"].includes(s.kind),
      )),
    { not_closed: 1, lost: 2, state_differs: 2 },
  ],
  [
    "a stream is missing at the end",
    (r) => r.state.memberships.push({ project: CAT, user: ANN }),
    { streams_missing: 1 },
  ],
  [
    "recovered: false without need",
    (r) =>
      insert(r, {
        at: r.began + 5500,
        client: "ann",
        connection: 1,
        kind: "ready",
        streams: { [STREAM]: { seq: 5, id: frameOf(r, 5).id, recovered: false } },
      }),
    { needless_resets: 1 },
  ],
  [
    "the history changes without a word",
    (r) => {
      const [first] = r.histories as [Recording["histories"][number]];
      const rows = first.rows.map((row) => (row.seq === 5 ? { ...row, id: CAT } : row));
      r.histories = [
        { until: r.began + 5500, rows: first.rows.slice(0, 5) },
        { until: null, rows },
      ];
    },
    { unannounced: 4, misled: 4 },
  ],
  [
    "a token that is limited to other streams gets an event",
    (r) => {
      const opened = r.signals.find(({ kind, client }) => kind === "opened" && client === "ann");
      Object.assign(opened as object, { streams: [`user:${ANN}`] });
    },
    { leaked: 10 },
  ],
  [
    "a client can't come back",
    (r) => r.signals.push({ at: r.ended, client: "ann", connection: 0, kind: "absent" }),
    { streams_missing: 1 },
  ],
  [
    "a personal token ends with a logout of all sessions",
    (r) => {
      const { opened, logout } = personalOf(r);
      opened.isPersonal = true;
      logout.ends = { user: ANN, session: "session", keepsTokens: true };
    },
    { sessions_lost: 1 },
  ],
  [
    "a text is sent after its redaction",
    (r) => {
      rowsOf(r)[4]!.earlier = [{ digest: "d5 with a secret", until: r.began + 6000 }];
      const frame = r.signals.splice(indexOf(r, 5, "session"), 1)[0] as EventSignal;
      r.signals.splice(indexOf(r, 6, "session"), 0, { ...frame, digest: "d5 with a secret" });
      frameOf(r, 10).id = rowsOf(r)[9]!.id;
      rowsOf(r)[9]!.earlier = [{ digest: "d10 with a secret", until: r.began + 7000 }];
      frameOf(r, 10).digest = "d10 with a secret";
    },
    { unredacted: 1 },
  ],
  [
    "a redacted text stays in the database",
    (r) => {
      r.calls[4]!.redacts = "a secret";
      r.state.secrets = ["a secret", "one that nobody redacted"];
    },
    { unredacted: 1 },
  ],
  [
    "a row is not as its last write left it",
    (r) => {
      const row = (index: number, state: string | null) =>
        (r.calls[index]!.row = { name: "category", state });
      row(2, "red");
      row(4, null);
      // An answer that was lost may have been a success, or not.
      row(6, "blue");
      r.calls[6]!.outcome = "unknown";
      r.state.rows.category = "red";
    },
    { rows_differ: 1, failed_without_fault: 1 },
  ],
  ["the rows are not what the log says", (r) => r.state.faults.push("task is gone"), { unsound: 1 }],
  ["the log has a hole", (r) => void (r.state.heads[`user:${CAT}`] = 1), { holes: 1 }],
  [
    "a row is doubled",
    (r) => r.state.tasks.push({ id: CAT, title: r.state.tasks[0]!.title }),
    { doubled: 1 },
  ],
  [
    "one request wrote twice",
    (r) => {
      rowsOf(r)[4]!.request_id = "r4";
      r.calls = r.calls.filter(({ id }) => id !== "r5");
    },
    { doubled: 1 },
  ],
  ["an acknowledged write is gone", (r) => (rowsOf(r)[4]!.request_id = null), { acknowledged_gone: 1 }],
  ["a refused write is there", (r) => (r.calls[4]!.outcome = "refused"), { refused_written: 1 }],
  ["a folded task differs from REST", (r) => (r.rest[STREAM]!.t5 = "other"), { state_differs: 1 }],
  [
    "a session ends without a cause",
    (r) => (r.calls = r.calls.filter(({ id }) => id !== "logout")),
    { sessions_lost: 1 },
  ],
  [
    "a good token is refused",
    (r) =>
      insert(r, {
        at: r.began + 5000,
        client: "ann",
        connection: 1,
        kind: "refused",
        session: "ann",
        user: ANN,
        expires_at: r.ended,
        code: "invalid-token",
      }),
    { sessions_lost: 1 },
  ],
  [
    "a request fails while nothing is broken",
    (r) => r.calls.push({ ...r.calls[0]!, id: "failed", outcome: "failed", status: 503 }),
    { failed_without_fault: 1 },
  ],
  [
    "a request fails while a rollout restarts a node",
    (r) => {
      rollOut(r);
      const times = { began: r.ended - 500, ended: r.ended - 400 };
      r.calls.push({ ...r.calls[0]!, ...times, id: "failed", outcome: "failed", status: 503 });
    },
    { failed_in_restart: 1 },
  ],
  [
    "a rollout loses a socket",
    (r) => {
      rollOut(r);
      insert(r, { kind: "closed", reason: "transport close", client: "ann", connection: 1, at: r.ended });
    },
    { slow_return: 1 },
  ],
  ["a card is dragged as it should be", (r) => (r.dragging = draggingOf({})), {}],
  [
    "a card stands already where it is dragged",
    (r) => (r.dragging = draggingOf({ drag: { before: "b", task: "a" }, moved: [] })),
    {},
  ],
  [
    "a drag that was done is not in the log",
    (r) => (r.dragging = draggingOf({ moved: [] })),
    { acknowledged_gone: 1 },
  ],
  [
    "a drag happens twice",
    (r) =>
      (r.dragging = draggingOf({
        moved: ["05", "06"].map((position) => moveOf("c", position, { request_id: "d", committed: 3 })),
      })),
    { doubled: 1 },
  ],
  [
    "a drag that was refused is in the log",
    (r) => (r.dragging = draggingOf({ drag: { outcome: "neighbour-moved" } })),
    { refused_written: 1 },
  ],
  [
    "a drag puts its card elsewhere",
    (r) => (r.dragging = draggingOf({ moved: [moveOf("c", "15", { request_id: "d", committed: 3 })] })),
    { order_differs: 1 },
  ],
  [
    "one client has another order",
    (r) => {
      r.dragging = draggingOf({});
      r.dragging.orders["sdk0"] = ["a", "c", "b"];
    },
    { order_differs: 1 },
  ],
  [
    "a store of the SDK ends with another state",
    (r) => (r.stores = [storeOf({ differences: ["task t1"] }), storeOf({ status: "stale" })]),
    { store_differs: 2 },
  ],
  ["the SDK sends a comment twice", (r) => (r.stores = [storeOf({ doubled: ["Good"] })]), { doubled: 1 }],
  ["changes of the SDK are never sent", (r) => (r.stores = [storeOf({ waiting: 2 })]), { store_waits: 2 }],
  [
    "a process ends by itself",
    (r) => r.exits.push({ node: "tasks-1", at: r.began, how: "exit code 1" }),
    { processes_ended: 1 },
  ],
  [
    "a rejection is not handled",
    (r) => r.rejections.push({ node: "tasks-1", line: "unhandledRejection" }),
    { unhandled_rejections: 1 },
  ],
];

test("a sound recording has no findings", () => expect(nonZero(soundRecording())).toEqual({}));

test.each(MUTATIONS)("%s", (_what, spoil, expected) => {
  const recording = soundRecording();
  spoil(recording);
  expect(nonZero(recording)).toEqual(expected);
});

test("each finding has a mutation", () => {
  const named = new Set(MUTATIONS.flatMap(([, , expected]) => Object.keys(expected)));
  expect(Object.keys(FINDINGS).filter((name) => !named.has(name))).toEqual([]);
});

test("a user who is added again may read what came meanwhile", () => {
  const recording = soundRecording();
  const [first] = rowsOf(recording);
  const added = {
    ...first!,
    seq: 11,
    id: CAT,
    type: "member_added",
    member: BOB,
    request_id: null,
    task: undefined!,
  };
  added.committed = recording.began + 10_500;
  rowsOf(recording).push(added);
  recording.state.heads[STREAM] = 11;
  const frame = { ...frameOf(recording, 10), seq: 11, id: CAT, digest: "d1", at: recording.began + 10_505 };
  insert(recording, frame);
  insert(recording, { ...frameOf(recording, 10), client: "bob", at: recording.began + 10_900 });
  expect(nonZero(recording)).toEqual({});
});

test("a fault of NATS delays clients over HTTP, whom gateways serve by it, and no sockets", () => {
  const recording = soundRecording();
  const late = recording.signals.splice(indexOf(recording, 10, "ann"), 1)[0] as Signal;
  insert(recording, { ...late, at: recording.began + 13_000 });
  const [began, ended] = [recording.began + 9900, recording.began + 12_900];
  const fault = { name: "nats-cut", target: "all nodes", isBounded: true, isBoundedOverHttp: false };
  recording.faults = [{ ...fault, began, ended }];
  expect(nonZero(recording)).toEqual({ late: 1 });
  for (const one of recording.signals) if (one.kind === "opened") one.transport = "sse";
  expect(nonZero(recording)).toEqual({});
});

test("a log without its oldest events is no other history, and a cursor before them needs recovered: false", () => {
  const recording = soundRecording();
  const rows = rowsOf(recording);
  const until = recording.began + 5500;
  recording.histories = [
    { until, rows: rows.slice(0, 5), isForgotten: true },
    { until: null, rows: rows.slice(3) },
  ];
  expect(nonZero(recording)).toEqual({});
  const [at, client] = [recording.began + 9500, "away"];
  const cursor = { seq: 2, id: rows[1]!.id };
  const ready = { seq: 9, id: rows[8]!.id, recovered: false };
  const opened = { user: ANN, session: "away", expires_at: recording.ended, cursors: { [STREAM]: cursor } };
  insert(recording, { at, client, connection: 1, kind: "opened", transport: "websocket", ...opened });
  insert(recording, { at, client, connection: 1, kind: "ready", streams: { [STREAM]: ready } });
  insert(recording, {
    at: recording.began + 12_000,
    client,
    connection: 1,
    kind: "closed",
    reason: "the end",
  });
  expect(nonZero(recording)).toEqual({});
  cursor.seq = 4;
  cursor.id = rows[3]!.id;
  expect(nonZero(recording)).toEqual({ needless_resets: 1 });
});

test("a recording is the same after it was written and read", async () => {
  const folder = await mkdtemp(join(tmpdir(), "taskwire-chaos-"));
  try {
    const recording = soundRecording();
    await writeRecording(join(folder, "recording.gz"), recording);
    expect(await readRecording(join(folder, "recording.gz"))).toEqual(recording);
    expect(recording.signals.some((one) => one.kind === "event" && one.tags[0] === PROJECT)).toBe(true);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a restore brings back a log that had forgotten its oldest events: they are no holes, and rights go by them", () => {
  const recording = soundRecording();
  const rows = rowsOf(recording);
  recording.histories = [
    { until: recording.began + 5500, rows: rows.slice(0, 5), isForgotten: true },
    // The backup is of this time, and nothing was committed after it.
    { until: recording.began + 6000, rows: rows.slice(3, 5) },
    { until: null, rows: rows.slice(3) },
  ];
  expect(nonZero(recording)).toEqual({});
});

/** What became of the positions of each kind of client by the one restore of a recording. */
const fatesOf = (recording: Recording) =>
  judge(recording).rewinds.flatMap(({ clients }) =>
    clients.map(({ client, whereabouts, fates }) => [client, whereabouts, ...fates]),
  );

/** Number 5 is another event after a restore at 5.5 s, which lasts until 6.5 s; clients that `left` hear of it when they return. */
function restoredRecording(
  left: Record<string, { cursor: number; back: number; recovered: boolean }>,
): Recording {
  const recording = soundRecording();
  const { began } = recording;
  const rows = rowsOf(recording);
  const restored = rows.map((row) => (row.seq >= 5 ? { ...row, id: randomUUID() } : row));
  recording.histories = [
    { until: began + 5500, rows: rows.slice(0, 5) },
    { until: null, rows: restored.map((row) => (row.seq === 5 ? { ...row, committed: began + 5600 } : row)) },
  ];
  recording.faults = [
    {
      name: "postgres-restored",
      target: "postgres",
      isBounded: false,
      rewritesLog: true,
      began: began + 5400,
      ended: began + 6500,
    },
  ];
  const [ann] = recording.signals;
  recording.signals = Object.entries(left).flatMap(([client, { cursor, back, recovered }]) => {
    const position = { seq: cursor, id: rows[cursor - 1]!.id };
    const told = { seq: 10, id: restored[9]!.id, recovered };
    const at = began + back * 1000;
    const opened = { ...ann!, client, kind: "opened", cursors: { [STREAM]: position } } as Signal;
    return [
      { ...opened, at: began + 1000 },
      {
        at: began + 1100,
        client,
        connection: 1,
        kind: "ready",
        streams: { [STREAM]: { ...position, recovered: true } },
      },
      ...(back > 0
        ? ([
            { at: began + 5000, client, connection: 1, kind: "closed", reason: "away" },
            { ...opened, at, connection: 2 },
            { at: at + 100, client, connection: 2, kind: "ready", streams: { [STREAM]: told } },
          ] as Signal[])
        : ([
            { at: began + 7000, client, connection: 1, kind: "ready", streams: { [STREAM]: told } },
          ] as Signal[])),
    ] as Signal[];
  });
  recording.signals.sort((a, b) => a.at - b.at);
  return recording;
}

test("a restore is told to each position that it took away, and no other", () => {
  const recording = restoredRecording({
    open: { cursor: 5, back: 0, recovered: false },
    hasty: { cursor: 5, back: 6, recovered: false },
    early: { cursor: 4, back: 9, recovered: true },
    late: { cursor: 5, back: 9, recovered: false },
  });
  expect(fatesOf(recording)).toEqual([
    ["open", "connected", "told"],
    ["hasty", "came back meanwhile", "told"],
    ["early", "asleep", "went_on"],
    ["late", "asleep", "told"],
  ]);
  expect(judge(recording).findings.counts).toMatchObject({ misled: 0, needless_resets: 0, unannounced: 0 });
});

test("a position that a restore took away and that goes on, and one that it left and that does not, are found", () => {
  const recording = restoredRecording({
    open: { cursor: 5, back: 0, recovered: true },
    hasty: { cursor: 4, back: 6, recovered: false },
    late: { cursor: 5, back: 9, recovered: true },
  });
  expect(fatesOf(recording)).toEqual([
    ["open", "connected", "misled"],
    ["hasty", "came back meanwhile", "told_without_need"],
    ["late", "asleep", "misled"],
  ]);
  expect(judge(recording).findings.counts).toMatchObject({ misled: 2 });
});

test("an outage lasts until a write that Postgres committed after it is acknowledged", () => {
  const recording = soundRecording();
  const { began } = recording;
  // Number 5 is committed at 5 s, and its client learns of it while Postgres is away.
  const [fifth, sixth] = [4, 5].map((at) => recording.calls[at]!);
  fifth!.ended = began + 5300;
  sixth!.outcome = "failed";
  recording.calls.push({ ...sixth!, outcome: "ok", ended: began + 6400 });
  // What number 4 left to be tidied is committed after it.
  rowsOf(recording).push({ ...rowsOf(recording)[3]!, seq: 11, id: CAT, committed: began + 5250 });
  const fault = { name: "postgres-failover", target: "postgres", isBounded: false };
  recording.faults = [
    { ...fault, began: began + 4999, reachable: began + 5200, ended: began + 8000 },
    { ...fault, began: began + 20_000, reachable: began + 20_100, ended: began + 21_000 },
    { ...fault, name: "tasks-killed", began: began + 30_000, ended: began + 31_000 },
  ];
  const outages = judge(recording).outages.map(({ away, firstWrite }) => [away, firstWrite]);
  expect(outages).toEqual([
    [201, 1401],
    [100, null],
  ]);
});

test("a frame that a client still reads after it left counts, and nothing is lost when it comes back", () => {
  const recording = soundRecording();
  const { began } = recording;
  const [last] = recording.signals.splice(indexOf(recording, 10, "ann"), 1) as [EventSignal];
  const ninth = frameOf(recording, 9);
  const ann = { client: "ann", connection: 1, at: began + 9500 };
  insert(recording, { ...ann, kind: "closed", reason: "io client disconnect" });
  insert(recording, { ...ninth, at: began + 9600 });
  recording.signals.splice(recording.signals.indexOf(ninth), 1);
  const opened = recording.signals.find(({ kind, client }) => kind === "opened" && client === "ann");
  const again = { client: "ann", connection: 2, at: began + 11_000 };
  const cursors = { [STREAM]: { seq: 9, id: ninth.id }, [`user:${ANN}`]: { seq: 0, id: null } };
  insert(recording, { ...(opened as Extract<Signal, { kind: "opened" }>), ...again, cursors });
  insert(recording, { ...last, ...again });
  const streams = {
    [STREAM]: { seq: 10, id: last.id, recovered: true },
    [`user:${ANN}`]: { seq: 0, id: null, recovered: true },
  };
  insert(recording, { ...again, kind: "ready", streams });
  expect(nonZero(recording)).toEqual({});
});
