import type { LoggedEvent } from "../../core/events.ts";

/**
 * The tail of one stream on one node: the actor that turns hints, which may be lost, repeated or out of order, into
 * the stream's events, each once and in order. It does no I/O: it answers each message with a step to take.
 *
 *     idle ──open(head)──▶ live ──a hole: offer(seq > last + 1), headIs(n > last)──▶ replaying
 *                           ▲                                                            │
 *                           └────────────── loaded(), nothing missing · failed() ────────┘
 *
 *   idle       knows no position; hints only tell how far the stream reaches.
 *   live       offer(last + 1) is delivered; an older one is a repeat and dropped; a newer one shows a hole.
 *   replaying  the log is being read; hints only tell how far the stream reaches, since the log will have them too.
 *              Reads go on until nothing is known to be missing. After a failed one the next beat tries again.
 *
 * `last` only grows. A log that no longer reaches back to it (retention) is the one way to lose events: the step then
 * says `lost`, and the clients are told to fetch the state.
 */
export type TailState = "idle" | "live" | "replaying";

export interface Step {
  /** To be sent now, in this order. */
  deliver: LoggedEvent[];
  /** The part of the log to read next and hand to `loaded`; never two at a time. */
  read: { after: number; upTo: number } | null;
  lost: boolean;
}

const NOTHING: Step = { deliver: [], read: null, lost: false };

export class StreamTail {
  state: TailState = "idle";
  /** The number of the last event delivered on this node. */
  last = 0;
  /** The highest number that is known to exist. */
  #known = 0;

  /** The stream's head, as read from the database: delivery begins after it. */
  open(head: number): Step {
    if (this.state !== "idle") return this.headIs(head);
    this.state = "live";
    this.last = head;
    return this.#replayIfBehind();
  }

  /** A hint: an event that was committed. */
  offer(event: LoggedEvent): Step {
    this.#known = Math.max(this.#known, event.seq);
    if (this.state === "live" && event.seq === this.last + 1) {
      this.last = event.seq;
      return { ...NOTHING, deliver: [event] };
    }
    return this.#replayIfBehind();
  }

  /** The beat: the number of the stream's last event. */
  headIs(head: number): Step {
    this.#known = Math.max(this.#known, head);
    return this.#replayIfBehind();
  }

  /** The answer to a `read`: what the log holds of it, in order, perhaps only the beginning. */
  loaded(events: LoggedEvent[]): Step {
    if (this.state !== "replaying") return NOTHING;
    this.state = "live";
    const first = events[0];
    if (first === undefined || first.seq > this.last + 1) {
      // The log was cut off behind us. Begin anew at what is surely there.
      this.last = this.#known;
      return { ...NOTHING, lost: true };
    }
    const deliver = events.filter(({ seq }) => seq > this.last);
    this.last = deliver.at(-1)?.seq ?? this.last;
    return { ...this.#replayIfBehind(), deliver };
  }

  /** The read failed. */
  failed(): void {
    if (this.state === "replaying") this.state = "live";
  }

  #replayIfBehind(): Step {
    if (this.state !== "live" || this.#known <= this.last) return NOTHING;
    this.state = "replaying";
    return { ...NOTHING, read: { after: this.last, upTo: this.#known } };
  }
}
