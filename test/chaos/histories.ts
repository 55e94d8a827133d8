import type { FaultSpan, History, LogRow, Recording, Time, Transport } from "./recording.ts";

/** Milliseconds that the harness, which shares its machine with all nodes, may itself add to a measured time. */
export const SLACK_MS = 500;
/** Milliseconds after an unbounded fault in which nodes find their way back. */
export const RECOVERY_MS = 5000;

interface IndexedHistory {
  until: Time;
  /** Rows of each stream by their number; those that were forgotten meanwhile, too. */
  streams: Map<string, Map<number, LogRow>>;
  /** The first number of each stream that was not forgotten. */
  oldest: Map<string, number>;
}

/** The log of a run, with those that a restore replaced. */
export class Histories {
  readonly #rows = new Map<string, { row: LogRow; history: IndexedHistory }>();
  /** Until when each event had which content, as the last history that has it says: a restore brings back what was redacted. */
  readonly #contents = new Map<string, Time>();
  readonly #histories: IndexedHistory[];

  constructor(histories: History[]) {
    this.#histories = [];
    for (const [at, { until, rows }] of histories.entries()) {
      const previous = this.#histories.at(-1);
      const before = histories[at - 1]?.isForgotten === true ? this.last.streams : [];
      const streams = new Map([...before].map(([stream, events]) => [stream, new Map(events)]));
      const history: IndexedHistory = { until: until ?? Infinity, streams, oldest: new Map() };
      for (const row of rows) {
        const stream = streams.get(row.stream) ?? new Map<number, LogRow>();
        streams.set(row.stream, stream.set(row.seq, row));
        history.oldest.set(row.stream, Math.min(row.seq, history.oldest.get(row.stream) ?? Infinity));
        // A row that a restore kept belongs to the later history as well.
        this.#rows.set(`${row.stream} ${row.id}`, { row, history });
        const content = (digest: string): string => `${row.stream} ${row.id} ${digest}`;
        for (const { digest, until: replaced } of row.earlier ?? [])
          this.#contents.set(content(digest), replaced);
        this.#contents.set(content(row.digest), Infinity);
      }
      // What was forgotten before the backup that a restore brought back is older than all that it has.
      for (const [stream, oldest] of history.oldest) {
        const forgotten = [...(previous?.streams.get(stream) ?? [])].filter(([seq]) => seq < oldest);
        streams.set(stream, new Map([...forgotten, ...(streams.get(stream) ?? [])]));
      }
      this.#histories.push(history);
    }
  }

  /** The event of that id in whichever history, with the last history that has it. */
  find(stream: string, id: string): { row: LogRow; history: IndexedHistory } | undefined {
    return this.#rows.get(`${stream} ${id}`);
  }

  /** Until when the log had an event with that content; undefined when it never had. */
  hadUntil(stream: string, id: string, digest: string): Time | undefined {
    return this.#contents.get(`${stream} ${id} ${digest}`);
  }

  /** The log as it was at some time. */
  at(time: Time): IndexedHistory {
    return this.#histories.find(({ until }) => time < until) ?? this.last;
  }

  get all(): readonly IndexedHistory[] {
    return this.#histories;
  }

  get last(): IndexedHistory {
    const last = this.#histories.at(-1);
    if (last === undefined) throw new Error("the recording has no log");
    return last;
  }
}

/** Whether the promise bounds a client's times while a fault lasts. */
export const isBoundedFor = (
  { isBounded, isBoundedOverHttp = isBounded }: FaultSpan,
  transport: Transport,
): boolean => (transport === "sse" || transport === "sync" ? isBoundedOverHttp : isBounded);

/** Faults under way between two times, with the time that nodes need after one that is unbounded for the client. */
export const faultsBetween = (
  { faults }: Pick<Recording, "faults">,
  [from, to]: [Time, Time],
  transport: Transport,
): FaultSpan[] =>
  faults.filter(
    (fault) =>
      fault.began <= to && fault.ended + (isBoundedFor(fault, transport) ? SLACK_MS : RECOVERY_MS) >= from,
  );

/** Faults that a request may have failed by: nodes need a moment to find each other again after any of them. */
export const faultsOf = (
  { faults }: Pick<Recording, "faults">,
  call: { began: Time; ended: Time },
): FaultSpan[] =>
  closest(
    faults.filter(({ began, ended }) => began <= call.ended && ended + RECOVERY_MS >= call.began),
    call.began,
  );

/** Those that were still under way, where there are any. */
function closest(faults: FaultSpan[], at: Time): FaultSpan[] {
  const present = faults.filter(({ ended }) => ended >= at);
  return present.length > 0 ? present : faults;
}

/** Whether the log may have been rewritten shortly before a time. */
export const mayBeRewritten = ({ faults }: Pick<Recording, "faults">, at: Time): boolean =>
  faults.some(
    ({ rewritesLog, began, ended }) =>
      rewritesLog === true && began <= at && at <= ended + RECOVERY_MS + SLACK_MS,
  );

/** Milliseconds after the loss of a right within which its stream or socket is closed, brokers up. */
const CLOSING_MS = 1000;
/** The same, brokers down. */
const CLOSING_IN_FAULT_MS = 5000;

/** When what was lost at a time must be closed. */
export function closingTime(recording: Pick<Recording, "faults">, lost: Time, transport: Transport): Time {
  const faults = faultsBetween(recording, [lost, lost + CLOSING_MS + SLACK_MS], transport);
  if (faults.length === 0) return lost + CLOSING_MS + SLACK_MS;
  const ends = faults.map((fault) => (isBoundedFor(fault, transport) ? lost : fault.ended));
  return Math.max(lost, ...ends) + CLOSING_IN_FAULT_MS + SLACK_MS;
}
