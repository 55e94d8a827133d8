/**
 * Each subscriber's frames against the log. A subscriber has a position in each stream; what comes next must be the next
 * event of the log. Frames that come before a connection's `ready` wait for it, since `ready` says what they follow.
 */
import type { Position } from "../../core/events.ts";
import type { Findings } from "./findings.ts";
import { closingTime, type Histories, mayBeRewritten } from "./histories.ts";
import type { LogRow, Recording, Signal, Transport } from "./recording.ts";

type EventSignal = Extract<Signal, { kind: "event" }>;

interface Place extends Position {
  /** Whether this connection said `ready` for the stream. */
  isReady: boolean;
  /** Frames before that. */
  waiting: EventSignal[];
  /** Numbers that were passed over: a frame that still comes is out of order and not lost. */
  skipped: Set<number>;
  /** The last state of each task that the events told. */
  tasks: Map<string, LogRow>;
  /** The fold began at the stream's first event, and was never reset. */
  isWhole: boolean;
}

const newPlace = (position: Position | null): Place => ({
  seq: position?.seq ?? -1,
  id: position?.id ?? null,
  isReady: false,
  waiting: [],
  skipped: new Set(),
  tasks: new Map(),
  isWhole: position?.seq === 0,
});

/** A subscriber as its frames make it. */
export class Subscription {
  readonly places = new Map<string, Place>();
  user = "";
  isOpen = false;
  #streams: string[] | null = null;
  #transport: Transport = "websocket";
  readonly #recording: Recording;
  readonly #histories: Histories;
  readonly #findings: Findings;

  constructor(recording: Recording, histories: Histories, findings: Findings) {
    this.#recording = recording;
    this.#histories = histories;
    this.#findings = findings;
  }

  take(signal: Signal): void {
    switch (signal.kind) {
      case "opened":
        this.user = signal.user;
        this.isOpen = true;
        this.#streams = signal.streams ?? null;
        this.#transport = signal.transport;
        for (const stream of this.places.keys())
          if (signal.cursors[stream] === undefined) this.places.delete(stream);
        for (const [stream, cursor] of Object.entries(signal.cursors)) {
          const place = this.places.get(stream);
          if (place === undefined) this.places.set(stream, newPlace(cursor));
          else Object.assign(place, { isReady: false, waiting: [] });
        }
        break;
      case "ready":
        for (const [stream, position] of Object.entries(signal.streams))
          this.#ready(signal, stream, position);
        break;
      case "event":
        this.#event(signal);
        break;
      case "stream_closed":
        this.places.delete(signal.stream);
        break;
      case "closed":
        this.isOpen = false;
        for (const place of this.places.values()) this.#settle(place);
        break;
      case "absent":
        this.#findings.add("streams_missing", `${signal.client}: not connected at the end`);
        break;
      default:
        break;
    }
  }

  #ready(signal: Signal, stream: string, told: Position & { recovered: boolean }): void {
    const place = this.places.get(stream) ?? newPlace(null);
    this.places.set(stream, place);
    const had = place.seq >= 0;
    if (told.recovered || (!had && place.waiting.length > 0)) {
      const { waiting } = place;
      place.waiting = [];
      for (const frame of waiting) this.#follow(place, frame);
      if (place.seq >= 0 && told.seq > place.seq) this.#skip(place, told.seq + 1, signal);
      place.isReady = true;
      if (place.seq < 0) Object.assign(place, { seq: told.seq, id: told.id });
      return;
    }
    if (had) this.#judgeReset(signal, stream, place);
    place.tasks.clear();
    const follows = place.waiting.map(({ seq, id }) => ({ seq, id })).filter(({ seq }) => seq <= told.seq);
    if (follows.length > 0 && follows.at(-1)?.seq !== told.seq)
      this.#findings.add("lost", `${signal.client}: ${stream} is at ${told.seq}, frames end earlier`);
    Object.assign(place, newPlace(null), { seq: told.seq, id: told.id, isReady: true });
    place.isWhole = told.seq === 0;
  }

  /** Whether `recovered: false` was needed: the log goes on from the position that the subscriber had. */
  #judgeReset(signal: Signal, stream: string, { seq, id }: Place): void {
    if (mayBeRewritten(this.#recording, signal.at)) return;
    const { streams, oldest } = this.#histories.at(signal.at);
    const isForgotten = (oldest.get(stream) ?? 0) > Math.max(seq, 1);
    if (isForgotten || (seq !== 0 && streams.get(stream)?.get(seq)?.id !== id)) return;
    this.#findings.add("needless_resets", `${signal.client}: ${stream} could go on from ${seq}`);
  }

  #event(frame: EventSignal): void {
    const found = this.#histories.find(frame.stream, frame.id);
    const where = `${frame.client}: ${frame.stream} #${frame.seq}`;
    if (found === undefined || found.row.seq !== frame.seq) return this.#findings.add("phantom", where);
    const until = this.#histories.hadUntil(frame.stream, frame.id, frame.digest);
    if (until === undefined) this.#findings.add("altered", where);
    else if (frame.at > closingTime(this.#recording, until, this.#transport))
      this.#findings.add("unredacted", `${where} ${Math.round(frame.at - until)} ms after its redaction`);
    const place = this.places.get(frame.stream) ?? newPlace(null);
    this.places.set(frame.stream, place);
    // A poll's answer that was on its way when its client left is still read: its frames count if they follow.
    const isLate = !this.isOpen && frame.seq === place.seq + 1;
    if (place.isReady || isLate) this.#follow(place, frame);
    else place.waiting.push(frame);
  }

  /** Frames of a connection that ended before its `ready`: those that follow count. */
  #settle(place: Place): void {
    for (const frame of place.waiting) if (frame.seq === place.seq + 1) this.#follow(place, frame);
    place.waiting = [];
    place.isReady = false;
  }

  #follow(place: Place, frame: EventSignal): void {
    const { stream, seq, id, client } = frame;
    const where = `${client}: ${stream} #${seq} after #${place.seq}`;
    if (place.seq >= 0 && seq <= place.seq) {
      if (!place.skipped.delete(seq)) return this.#findings.add("repeated", where);
      this.#findings.counts.lost -= 1;
      return this.#findings.add("out_of_order", where);
    }
    if (place.seq >= 0 && seq > place.seq + 1) this.#skip(place, seq, frame);
    else if (place.seq >= 0) this.#mustContinue(place, frame, where);
    Object.assign(place, { seq, id });
    const row = this.#histories.find(stream, id)?.row;
    if (row?.task !== undefined) place.tasks.set(row.task.id, row);
  }

  /** The event before this one in its history is the one that the subscriber has. */
  #mustContinue(place: Place, { stream, seq, id }: EventSignal, where: string): void {
    const history = this.#histories.find(stream, id)?.history;
    const before = history?.streams.get(stream)?.get(seq - 1);
    if (place.id !== null && before !== undefined && before.id !== place.id)
      this.#findings.add("unannounced", where);
  }

  #skip(place: Place, next: number, { client }: Signal): void {
    for (let seq = place.seq + 1; seq < next; seq++) {
      place.skipped.add(seq);
      this.#findings.add("lost", `${client}: #${seq}`);
    }
    place.seq = next - 1;
    place.id = null;
  }

  /** What a subscriber that is connected at the end must have. */
  finish(client: string): void {
    if (!this.isOpen) return;
    const { state, rest } = this.#recording;
    const memberships = state.memberships.filter(({ user }) => user === this.user);
    const readable = [`user:${this.user}`, ...memberships.map(({ project }) => `project:${project}`)];
    for (const stream of readable.filter((name) => this.#streams?.includes(name) ?? true)) {
      const place = this.places.get(stream);
      if (place?.isReady !== true) {
        this.#findings.add("streams_missing", `${client}: ${stream}`);
        continue;
      }
      const head = state.heads[stream] ?? 0;
      if (place.seq < head)
        this.#findings.add("lost", `${client}: ${stream} ends at ${place.seq} of ${head}`);
      if (place.seq < head) this.#findings.counts.lost += head - place.seq - 1;
      const last = this.#histories.last.streams.get(stream)?.get(place.seq);
      if (place.id !== null && last !== undefined && last.id !== place.id)
        this.#findings.add("unannounced", `${client}: ${stream} #${place.seq} is another event at the end`);
      const listed = rest[stream];
      if (listed !== undefined) this.#compare(client, stream, place, listed);
    }
  }

  #compare(client: string, stream: string, { tasks, isWhole }: Place, listed: Record<string, string>): void {
    for (const [id, { task }] of tasks)
      if ((task?.deleted === true ? undefined : task?.digest) !== listed[id])
        this.#findings.add("state_differs", `${client}: ${stream} task ${id}`);
    if (!isWhole) return;
    for (const id of Object.keys(listed))
      if (!tasks.has(id))
        this.#findings.add("state_differs", `${client}: ${stream} never told of task ${id}`);
  }
}

export function checkDelivery(recording: Recording, histories: Histories, findings: Findings): void {
  const clients = new Map<string, Subscription>();
  for (const signal of recording.signals) {
    const client = clients.get(signal.client) ?? new Subscription(recording, histories, findings);
    clients.set(signal.client, client);
    client.take(signal);
  }
  for (const [name, client] of clients) client.finish(name);
}
