/**
 * What the beat asks Postgres, each second: whether some thousand streams are where their tails are. Most are at rest, so the
 * text of a question stays the same until one of its streams moves, and the beat compares what it is made of.
 *
 * A question has one answer at one moment of the database. So the beat asks for the moment, which is one short statement, and
 * leaves out each question that was answered at that very moment: nothing was moved then. Whatever is committed is another
 * moment, and a tail that moves is another question. Nothing is assumed of hints, of connections, or of when an answer came.
 */
import type { Position } from "../../core/events.ts";
import { type Known, knownOf, type Moment } from "../../mixins/event-log.queries.ts";
import type { StreamTail } from "./stream-tail.ts";

/** Streams that one statement asks for. */
const STREAMS = 1000;

/** Where no stream is: a tail that waits for something is told its head in any case. */
const ELSEWHERE: Position = { seq: -1, id: null };

/** A stream that this node follows. */
interface Followed {
  readonly name: string;
  readonly tail: StreamTail;
  /** As this node knows it. */
  membersVersion: number;
}

class BeatQuestion {
  known: Known = knownOf([]);
  /** When none of these streams had moved from where `known` has them. */
  #restedAt: Moment = null;
  readonly #entries: Followed[] = [];
  readonly #places: Position[] = [];
  readonly #versions: number[] = [];

  /** Asks for the next streams. @returns whether there are any */
  take(entries: MapIterator<Followed>): boolean {
    let size = 0;
    let isSame = true;
    while (size < STREAMS) {
      const { value: entry, done } = entries.next();
      if (done === true) break;
      const { tail, membersVersion } = entry;
      if (tail.state === "idle") continue;
      // A tail that moves has another object as its last position.
      const place = tail.isBehind ? ELSEWHERE : tail.last;
      if (
        this.#entries[size] !== entry ||
        this.#places[size] !== place ||
        this.#versions[size] !== membersVersion
      ) {
        isSame = false;
        this.#entries[size] = entry;
        this.#places[size] = place;
        this.#versions[size] = membersVersion;
      }
      size += 1;
    }
    if (isSame && size === this.#entries.length) return size > 0;
    this.#entries.length = this.#places.length = this.#versions.length = size;
    this.#restedAt = null;
    this.known = knownOf(
      this.#entries.map(({ name }, nth) => ({
        name,
        at: this.#places[nth] as Position,
        version: this.#versions[nth] as number,
      })),
    );
    return size > 0;
  }

  /** Whether it is known that no stream has moved at this moment. */
  restedAt(moment: Moment): boolean {
    return moment !== null && moment === this.#restedAt;
  }

  /** None had moved. @param known as it was asked: another beat may have changed the question since then */
  rested(known: Known, moment: Moment): void {
    if (known === this.known) this.#restedAt = moment;
  }
}

export class BeatQuestions {
  readonly #questions: BeatQuestion[] = [];

  /** The questions of a beat, each made when it is asked. */
  *of(entries: MapIterator<Followed>): Generator<BeatQuestion> {
    for (let nth = 0; ; nth++) {
      const question = (this.#questions[nth] ??= new BeatQuestion());
      if (!question.take(entries)) {
        // Streams that are gone are not held by their question.
        this.#questions.length = nth;
        return;
      }
      yield question;
    }
  }
}
