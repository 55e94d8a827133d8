/** A small recording in which all is well, for tests that spoil one thing of it. */
import { randomUUID } from "node:crypto";
import type { Call, LogRow, Recording, Signal } from "./recording.ts";

const BEGAN = 1_800_000_000_000;
export const [ANN, BOB, CAT] = [randomUUID(), randomUUID(), randomUUID()];
export const PROJECT = randomUUID();
export const STREAM = `project:${PROJECT}`;

const call = (id: string, second: number, more: Partial<Call> = {}): Call => ({
  id,
  action: "tasks.create",
  operation: "POST /tasks",
  user: ANN,
  began: BEGAN + second * 1000 - 20,
  ended: BEGAN + second * 1000 + 10,
  outcome: "ok",
  status: 201,
  leavesEvent: true,
  ...more,
});

const frame = (client: string, row: LogRow, at = row.committed + 5): Signal => ({
  at,
  client,
  connection: 1,
  kind: "event",
  stream: row.stream,
  seq: row.seq,
  id: row.id,
  digest: row.digest,
  tags: [PROJECT],
});

/**
 * Ann founded the project, and her subscriber stays. Bob comes in as number 3 and is removed as number 7. Ann's second
 * subscriber ends with its session, the third one when its token expires; both are at number 8. Cat reads nothing.
 */
export function soundRecording(): Recording {
  const row = (seq: number, type: string, more: Partial<LogRow> = {}): LogRow => ({
    stream: STREAM,
    seq,
    id: randomUUID(),
    type,
    request_id: `r${seq}`,
    committed: BEGAN + seq * 1000,
    digest: `d${seq}`,
    ...more,
  });
  const task = (seq: number) =>
    row(seq, "task_created", { task: { id: `t${seq}`, digest: `x${seq}`, deleted: false } });
  const rows = [
    task(1),
    task(2),
    row(3, "member_added", { member: BOB }),
    task(4),
    task(5),
    task(6),
    row(7, "member_removed", { member: BOB }),
    task(8),
    task(9),
    task(10),
  ];
  const [ann, session, token, bob] = ["ann", "session", "token", "bob"];
  const opened = (client: string, user: string, second: number, expires = 3600): Signal => ({
    at: BEGAN + second * 1000,
    client,
    connection: 1,
    kind: "opened",
    transport: "websocket",
    user,
    session: client,
    expires_at: BEGAN + expires * 1000,
    cursors: client === bob ? {} : { [STREAM]: { seq: 0, id: null }, [`user:${user}`]: { seq: 0, id: null } },
  });
  const ready = (client: string, second: number, streams: Record<string, number>): Signal => ({
    at: BEGAN + second * 1000,
    client,
    connection: 1,
    kind: "ready",
    streams: Object.fromEntries(
      Object.entries(streams).map(([name, seq]) => [
        name,
        { seq, id: name === STREAM ? (rows[seq - 1]?.id ?? null) : null, recovered: client !== bob },
      ]),
    ),
  });
  const signal = (client: string, second: number, more: object): Signal =>
    ({ at: BEGAN + second * 1000, client, connection: 1, ...more }) as Signal;
  const signals = [
    ...[ann, session, token].flatMap((client) => [
      opened(client, ANN, 0, client === token ? 8.5 : 3600),
      ready(client, 0.2, { [STREAM]: 0, [`user:${ANN}`]: 0 }),
    ]),
    opened(bob, BOB, 2.5),
    ready(bob, 2.6, { [`user:${BOB}`]: 0 }),
    ready(bob, 3.2, { [STREAM]: 3 }),
    ...rows.map((one) => frame(ann, one)),
    ...[session, token].flatMap((client) => rows.slice(0, 8).map((one) => frame(client, one))),
    ...rows.slice(3, 6).map((one) => frame(bob, one)),
    signal(bob, 7.01, { kind: "stream_closed", stream: STREAM }),
    signal(session, 8.6, { kind: "dismissed", frame: "session_ended" }),
    signal(session, 8.6, { kind: "closed", reason: "io server disconnect" }),
    signal(token, 8.9, { kind: "dismissed", frame: "token_expired" }),
    signal(token, 8.9, { kind: "closed", reason: "io server disconnect" }),
  ].sort((a, b) => a.at - b.at);
  const writes = rows.map(({ seq }) => call(`r${seq}`, seq));
  return {
    seed: 1,
    began: BEGAN,
    ended: BEGAN + 60_000,
    founders: { [STREAM]: ANN },
    signals,
    calls: [
      ...writes,
      call("refused", 5.5, { outcome: "refused", status: 422 }),
      call("logout", 8.5, { action: "auth.logout", leavesEvent: false, ends: { user: ANN, session } }),
    ],
    faults: [],
    histories: [{ until: null, rows }],
    state: {
      heads: { [STREAM]: 10 },
      tasks: rows.flatMap(({ task: one }) => (one ? [{ id: one.id, title: `title of ${one.id}` }] : [])),
      memberships: [{ project: PROJECT, user: ANN }],
      rows: {},
      secrets: [],
      faults: [],
    },
    rest: {
      [STREAM]: Object.fromEntries(rows.flatMap(({ task: one }) => (one ? [[one.id, one.digest]] : []))),
    },
    exits: [],
    rejections: [],
    memory: {},
  };
}
