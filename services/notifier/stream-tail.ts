import type { CommittedEvent, LoggedEvent, Position } from "../../core/events.ts";

/**
 * The tail of one stream on one node: the actor that turns hints, which may be lost, repeated or out of order, into
 * the stream's events, each once and in order. It does no I/O: it answers each message with a step to take.
 *
 *     idle ──headIs──▶ live ──a hole, or a doubt: offer, headIs──▶ replaying
 *                       ▲ ▲                                            │  │
 *                       │ └─────── loaded(events) · failed() ──────────┘  │ loaded(null)
 *                       └───────────────── headIs ───────────── rewritten ◀┘
 *
 *   idle       knows no position; hints only tell how far the stream reaches.
 *   live       an event that follows the last one is delivered; an older one is a repeat and dropped.
 *   replaying  the log is being read from the last event on; hints only tell how far the stream reaches, since the log
 *              has their events too. After a failed read the next beat tries again.
 *   rewritten  the log does not go on from the last event: Postgres was restored, or failed over and lost its end.
 *              The tail begins again where the stream is now, and the step says `lost`: clients fetch the state.
 *
 * A number alone does not say which history it counts. An event follows the last one if its number does and the id of
 * the event before it is the last one's; any other event beyond the last one is a doubt, and so is a head with another id.
 * A read of the log settles it.
 */
export type TailState = "idle" | "live" | "replaying" | "rewritten";

export interface Step {
  /** Events to send now, in this order. */
  deliver: LoggedEvent[];
  /** The part of the log to read next and hand to `loaded`. One read runs at a time. */
  read: { after: Position; upTo: number } | null;
  /** Whether to read the stream's head and hand it to `headIs`. */
  locate: boolean;
  /** The clients may have events of another history: the tail goes on at another place. */
  lost: boolean;
}

const NOTHING: Step = { deliver: [], read: null, locate: false, lost: false };

export class StreamTail {
  state: TailState = "idle";
  /** The last event delivered on this node. */
  last: Position = { seq: 0, id: null };
  /** The highest number that a hint or a head has announced. */
  #known = 0;
  /** The last number of the read under way. */
  #upTo = 0;

  /** Whether the stream reaches further than the last event delivered. */
  get isBehind(): boolean {
    return this.state !== "idle" && (this.#known > this.last.seq || this.state !== "live");
  }

  /** A hint: an event that was committed. */
  offer({ previous_id, ...event }: CommittedEvent): Step {
    this.#known = Math.max(this.#known, event.seq);
    if (this.state !== "live") return NOTHING;
    const { seq, id } = this.last;
    if (event.seq === seq + 1 && previous_id === id) {
      this.last = { seq: event.seq, id: event.id };
      return { ...NOTHING, deliver: [event] };
    }
    return this.#replayIfBehind();
  }

  /** The stream's head, as the database had it. Events may have overtaken the answer. */
  headIs(head: Position): Step {
    this.#known = Math.max(this.#known, head.seq);
    switch (this.state) {
      case "idle":
      case "rewritten": {
        const lost = this.state === "rewritten";
        this.state = "live";
        this.last = head;
        return { ...this.#replayIfBehind(), lost };
      }
      case "replaying":
        return NOTHING;
      case "live": {
        const { seq, id } = this.last;
        const isDoubtful = head.seq < seq || (head.seq === seq && head.id !== id);
        return isDoubtful ? this.#replay() : this.#replayIfBehind();
      }
    }
  }

  /** The answer to a `read`: the events after the last one, in order, perhaps not all of them; null for another history. */
  loaded(events: LoggedEvent[] | null): Step {
    if (this.state !== "replaying") return NOTHING;
    const last = events?.at(-1);
    // Hints follow the commit, so an announced event that the log does not have was in another history.
    const isShort = last === undefined && this.#known > this.last.seq && this.#known <= this.#upTo;
    if (events === null || isShort) {
      this.state = "rewritten";
      this.#known = 0;
      return { ...NOTHING, locate: true };
    }
    this.state = "live";
    if (last !== undefined) this.last = { seq: last.seq, id: last.id };
    return { ...this.#replayIfBehind(), deliver: events };
  }

  /** The read failed. */
  failed(): void {
    if (this.state === "replaying") this.state = "live";
  }

  #replayIfBehind(): Step {
    return this.state === "live" && this.#known > this.last.seq ? this.#replay() : NOTHING;
  }

  #replay(): Step {
    this.state = "replaying";
    this.#upTo = Math.max(this.#known, this.last.seq);
    return { ...NOTHING, read: { after: this.last, upTo: this.#upTo } };
  }
}
