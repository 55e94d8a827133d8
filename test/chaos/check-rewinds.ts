/**
 * What a restore of the database meant for each position that a client had: a position that the restored log has goes on,
 * one that it has not is told `recovered: false`. A client that is told neither is silently wrong.
 */
import type { Position } from "../../core/events.ts";
import type { Findings } from "./findings.ts";
import type { Histories } from "./histories.ts";
import type { Recording, Signal, Time } from "./recording.ts";

/** Where a client was when the restored log took the place of the other one. */
export type Whereabouts = "connected" | "came back meanwhile" | "asleep";

/** What became of a position. `absent`: its stream was closed, or its client did not have it again. */
export type Fate = "told" | "went_on" | "told_without_need" | "misled" | "absent";

export interface Rewind {
  at: Time;
  /** Clients by where they were, with what became of their positions. */
  clients: { client: string; whereabouts: Whereabouts; fates: Fate[] }[];
}

interface Place extends Position {
  /** This connection said `ready` for the stream. */
  isReady: boolean;
  /** It was told `recovered: false` while the restored log had it. */
  isNeedless: boolean;
  fate?: Fate;
}

/** One client before and after a restore. */
class Witness {
  readonly places = new Map<string, Place>();
  whereabouts: Whereabouts | undefined;
  isOpen = false;

  /** Positions as the client keeps them. */
  follow(signal: Signal): void {
    if (signal.kind === "opened") {
      this.isOpen = true;
      this.places.clear();
      for (const [stream, cursor] of Object.entries(signal.cursors))
        this.places.set(stream, { ...cursor, isReady: false, isNeedless: false });
    }
    if (signal.kind === "ready")
      for (const [stream, { seq, id }] of Object.entries(signal.streams))
        this.places.set(stream, { seq, id, isReady: true, isNeedless: false });
    if (signal.kind === "event") this.move(signal);
    if (signal.kind === "stream_closed") this.places.delete(signal.stream);
    if (signal.kind === "closed") this.close();
  }

  move({ stream, seq, id }: Position & { stream: string }): void {
    const place = this.places.get(stream);
    if (place !== undefined && seq === place.seq + 1) Object.assign(place, { seq, id });
  }

  close(): void {
    this.isOpen = false;
    for (const place of this.places.values()) place.isReady = false;
  }
}

/** The restores of a run. @param findings gets each client that was misled */
export function checkRewinds(recording: Recording, histories: Histories, findings: Findings): Rewind[] {
  const restores = recording.histories.flatMap(({ until, isForgotten }, at) =>
    until === null || isForgotten === true ? [] : [{ at, until }],
  );
  return restores.map(({ at, until }, nth) =>
    checkRewind(recording, histories, findings, { at, until, end: restores[nth + 1]?.until ?? Infinity }),
  );
}

/** @param span the history that was replaced, when it was, and when the next one was */
function checkRewind(
  recording: Recording,
  histories: Histories,
  findings: Findings,
  span: { at: number; until: Time; end: Time },
): Rewind {
  const { at, until, end } = span;
  const [before, after] = histories.all.slice(at, at + 2) as [Histories["last"], Histories["last"]];
  const wholeAgain =
    recording.faults.find(({ rewritesLog, began, ended }) => rewritesLog && began <= until && until <= ended)
      ?.ended ?? until;
  const isOf = ({ streams }: Histories["last"], stream: string, { seq, id }: Position): boolean =>
    seq === 0 || streams.get(stream)?.get(seq)?.id === id;
  const isForgotten = (stream: string, { seq }: Position): boolean =>
    (after.oldest.get(stream) ?? 0) > Math.max(seq, 1);
  /** Its number and id tell that it happened after the restore. */
  const isNew = (stream: string, position: Position): boolean => !isOf(before, stream, position);

  const witnesses = new Map<string, Witness>();
  for (const signal of recording.signals) {
    const { client } = signal;
    const witness = witnesses.get(client) ?? new Witness();
    witnesses.set(client, witness);
    if (signal.at <= until) witness.follow(signal);
    else if (signal.at <= end) observe(witness, signal);
  }
  return { at: until, clients: [...witnesses].flatMap(conclude) };

  function observe(witness: Witness, signal: Signal): void {
    witness.whereabouts ??= witness.isOpen ? "connected" : undefined;
    const settle = (stream: string, fate: Fate): void => {
      const place = witness.places.get(stream);
      if (place !== undefined) place.fate ??= fate;
    };
    switch (signal.kind) {
      case "opened":
        witness.whereabouts ??= signal.at < wholeAgain ? "came back meanwhile" : "asleep";
        witness.isOpen = true;
        for (const [stream, place] of witness.places) {
          const cursor = signal.cursors[stream];
          if (cursor === undefined) place.fate ??= "absent";
          // Frames of the old log that were still on their way moved it.
          else if (place.fate === undefined && isOf(before, stream, cursor)) Object.assign(place, cursor);
        }
        break;
      case "ready":
        for (const [stream, { recovered, ...told }] of Object.entries(signal.streams)) {
          const place = witness.places.get(stream);
          if (place === undefined || place.fate !== undefined) continue;
          place.isReady = true;
          place.isNeedless ||= !recovered && !mustBeTold(stream, place);
          // Its node does not know of the restore yet.
          if (!isNew(stream, told) && !isOf(after, stream, told)) Object.assign(place, told);
          else if (recovered) settle(stream, isOf(after, stream, place) ? "went_on" : "misled");
          else settle(stream, place.isNeedless ? "told_without_need" : "told");
        }
        break;
      case "event": {
        const { stream } = signal;
        const place = witness.places.get(stream);
        if (place === undefined || place.fate !== undefined) break;
        if (!isNew(stream, signal)) witness.move(signal);
        else if (place.isReady) settle(stream, isOf(after, stream, place) ? "went_on" : "misled");
        break;
      }
      case "stream_closed":
        settle(signal.stream, "absent");
        break;
      case "closed":
        witness.close();
        break;
      default:
        break;
    }
  }

  function mustBeTold(stream: string, position: Position): boolean {
    return !isOf(after, stream, position) || isForgotten(stream, position);
  }

  /** A client that still has a stream in which nothing happened since must have had its last event before. */
  function conclude([client, witness]: [string, Witness]): Rewind["clients"] {
    const { places, isOpen } = witness;
    const whereabouts = witness.whereabouts ?? (isOpen ? "connected" : "asleep");
    const fates = [...places].map(([stream, place]) => {
      const still = isOf(after, stream, place) ? "went_on" : "misled";
      const fate = place.fate ?? (isOpen && place.isReady ? still : "absent");
      if (fate === "misled")
        findings.add("misled", `${client} (${whereabouts}): ${stream} #${place.seq} was taken away`);
      return fate;
    });
    return fates.length === 0 ? [] : [{ client, whereabouts, fates }];
  }
}
