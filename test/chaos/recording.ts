/** What a run of chaos leaves behind: all that the checker judges, as lines of JSON in one compressed file. */
import { createReadStream, createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { createGunzip, createGzip } from "node:zlib";
import type { Position } from "../../core/events.ts";

/** Milliseconds since 1970: of this machine's one clock, which Postgres' commit timestamps come from as well. */
export type Time = number;

export type Transport = "websocket" | "polling" | "sse" | "sync";

/** What a subscriber saw, in the order in which it came. */
export type Signal = { at: Time; client: string; connection: number } & (
  | {
      kind: "opened";
      transport: Transport;
      user: string;
      /** The id of the session, or of the personal token. */
      session: string;
      isPersonal?: boolean;
      expires_at: Time;
      cursors: Record<string, Position>;
      /** All that the client may be sent, where that is not all that its user may read. */
      streams?: string[];
    }
  | { kind: "ready"; streams: Record<string, Position & { recovered: boolean }> }
  | { kind: "event"; stream: string; seq: number; id: string; digest: string; tags: string[] }
  /** Any other frame that holds a canary. */
  | { kind: "other"; tags: string[] }
  | { kind: "stream_closed"; stream: string }
  | { kind: "renewed"; expires_at: Time; session: string }
  | { kind: "dismissed"; frame: "session_ended" | "token_expired" }
  /** The server refused a connection, or a refresh of its token, and said why. */
  | { kind: "refused"; session: string; user: string; isPersonal?: boolean; expires_at: Time; code: string }
  | { kind: "closed"; reason: string }
  /** The client could not come back until the end. */
  | { kind: "absent" }
);

/** `unknown`: the connection was cut, or there was no answer in time. `failed`: the server said 5xx. */
export type Outcome = "ok" | "refused" | "failed" | "unknown";

/** One attempt of a request. Attempts of one write have one `id`, which is its request id in the log. */
export interface Call {
  id: string;
  action: string;
  /** Method and path, with `{}` for each id. */
  operation: string;
  user: string;
  began: Time;
  ended: Time;
  outcome: Outcome;
  status: number | null;
  /** Code of the problem that was answered. */
  code?: string;
  /** A success leaves an event of this request in the log. */
  leavesEvent: boolean;
  /** The write may make several events of one type in a stream, as a bulk or the end of a membership does. */
  makesMany?: boolean;
  /** Whose sessions and personal tokens a success ends; all of them where none is named. */
  ends?: { user: string; session?: string; except?: string; keepsTokens?: boolean };
  /** What a success makes of a row that no event tells of; null for none. */
  row?: { name: string; state: string | null };
  /** A text that a success takes out of the database. */
  redacts?: string;
}

export interface FaultSpan {
  name: string;
  target: string;
  began: Time;
  ended: Time;
  /** Whether the promise bounds lateness while it lasts: a broker or a node that just died does not excuse a late frame. */
  isBounded: boolean;
  /** The same for clients over HTTP, whom gateways and NATS serve; `isBounded` where it is not said. */
  isBoundedOverHttp?: boolean;
  /** The log may have lost its end: `recovered: false` and ended sessions are in order. */
  rewritesLog?: boolean;
  /** Of a fault that takes Postgres away: when it could be reached again. */
  reachable?: Time;
}

export interface LogRow {
  stream: string;
  seq: number;
  id: string;
  type: string;
  request_id: string | null;
  committed: Time;
  digest: string;
  task?: { id: string; digest: string; deleted: boolean };
  /** Of an event about a membership: whose. */
  member?: string;
  /** The event before texts of it were redacted, and until when it was so. */
  earlier?: { digest: string; until: Time }[];
}

/** The log as it was until a restore put an older one in its place, or its oldest events were forgotten. */
export interface History {
  /** Null for the last one. */
  until: Time | null;
  /** The next one goes on from it, without its oldest events. */
  isForgotten?: boolean;
  rows: LogRow[];
}

/** The state in Postgres at the end. */
export interface FinalState {
  heads: Record<string, number>;
  tasks: { id: string; title: string }[];
  memberships: { project: string; user: string }[];
  /** The rows that no event tells of, as calls name them. */
  rows: Record<string, string>;
  /** Texts to be redacted that some table still has. */
  secrets: string[];
  /** What `npm run verify` finds. */
  faults: string[];
}

/** A live store of the SDK at the end. */
export interface StoreReport {
  client: string;
  stream: string;
  status: string;
  /** Changes that were made in it. */
  made: number;
  /** Changes that were not sent, or not answered. */
  waiting: number;
  /** Changes that were refused, and that nobody has decided. */
  refused: number;
  /** What differs from REST. */
  differences: string[];
  /** Comments that are there twice. */
  doubled: string[];
  /** What the client reported. */
  errors: string[];
}

/** A card that a client dragged, and what became of that. */
export interface Drag {
  /** The id of the change, which its event has as `request_id`. */
  id: string;
  client: string;
  at: Time;
  task: string;
  /** The column that it was put into. */
  status: string;
  /** The card next to which it was put, if any. */
  before?: string;
  after?: string;
  /** `waits`: not answered at the end. Else the code of the problem that refused it. */
  outcome: string;
}

/** A change of a card in the log, in the log's order. */
export interface LoggedMove {
  request_id: string | null;
  committed: Time;
  task: string;
  status: string;
  position: string;
}

/** The board of a run in which clients drag. */
export interface Dragging {
  drags: Drag[];
  /** How often the network of a client broke. */
  cuts: number;
  moves: LoggedMove[];
  /** The cards of the column in their order, as `Postgres`, `REST` and each client have it. */
  orders: Record<string, string[]>;
}

export interface Recording {
  seed: number;
  began: Time;
  ended: Time;
  /** Users who see each project from its first event on. */
  founders: Record<string, string>;
  signals: Signal[];
  calls: Call[];
  faults: FaultSpan[];
  histories: History[];
  state: FinalState;
  /** Tasks of each project's stream as REST lists them at the end: a digest for each id. */
  rest: Record<string, Record<string, string>>;
  /** Of runs with clients of the SDK. */
  stores?: StoreReport[];
  /** Of runs in which they drag. */
  dragging?: Dragging;
  exits: { node: string; at: Time; how: string }[];
  rejections: { node: string; line: string }[];
  /** Resident bytes of each node, sampled. */
  memory: Record<string, number[]>;
}

const LISTS = ["signals", "calls", "faults", "exits", "rejections"] as const;

function* linesOf(recording: Recording): Generator<string> {
  const { histories, ...rest } = recording;
  const lists = Object.fromEntries(LISTS.map((name) => [name, []]));
  yield `${JSON.stringify(["head", { ...rest, ...lists }])}\n`;
  for (const { rows, ...history } of histories) {
    yield `${JSON.stringify(["history", { ...history, rows: [] }])}\n`;
    for (const row of rows) yield `${JSON.stringify(["row", row])}\n`;
  }
  for (const name of LISTS) for (const item of recording[name]) yield `${JSON.stringify([name, item])}\n`;
}

export const writeRecording = (file: string, recording: Recording): Promise<void> =>
  pipeline(Readable.from(linesOf(recording)), createGzip(), createWriteStream(file));

/** @throws Error where the file is no recording */
export async function readRecording(file: string): Promise<Recording> {
  let recording: Recording | undefined;
  const lines = createInterface({ input: createReadStream(file).pipe(createGunzip()) });
  for await (const line of lines) {
    const [kind, item] = JSON.parse(line) as [string, never];
    if (kind === "head") recording = { ...(item as Recording), histories: [] };
    else if (recording === undefined) break;
    else if (kind === "history") recording.histories.push(item);
    else if (kind === "row") recording.histories.at(-1)?.rows.push(item);
    else (recording[kind as (typeof LISTS)[number]] as unknown[]).push(item);
  }
  if (recording === undefined) throw new Error(`${file} is no recording`);
  return recording;
}
