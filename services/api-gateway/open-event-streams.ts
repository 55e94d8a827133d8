/** The event streams that users have open at this gateway, and what a stream asks a notifier for (event-stream.ts). */
import { retryLater } from "../../core/errors.ts";
import type { StreamStart } from "../../core/events.ts";
import type { Actor, Caller } from "../../core/kit.ts";
import type { Followed } from "../notifier/notifier.contract.ts";

/** Responses that one user may have open at one gateway. */
export const MAX_STREAMS_OF_USER = 20;

/** Asks a notifier for what follows. */
export type Follow = (from: Caller, params: StreamStart & { wait: number }) => Promise<Followed>;

export class EventStreams {
  readonly #open = new Map<string, number>();
  readonly #isLimited: boolean;

  /** @param isLimited whether rate limits are on */
  constructor(isLimited: boolean) {
    this.#isLimited = isLimited;
  }

  /** Open responses of all users. */
  get size(): number {
    let size = 0;
    for (const open of this.#open.values()) size += open;
    return size;
  }

  /** Counts a response as its user's. @returns how to stop that @throws Problem rate-limited */
  enter(actor: Actor): () => void {
    const open = this.#open.get(actor.id) ?? 0;
    if (this.#isLimited && open >= MAX_STREAMS_OF_USER)
      throw retryLater("rate-limited", `You have ${open} event streams open: close one of them first`);
    this.#open.set(actor.id, open + 1);
    return () => {
      const left = (this.#open.get(actor.id) as number) - 1;
      if (left === 0) this.#open.delete(actor.id);
      else this.#open.set(actor.id, left);
    };
  }
}
