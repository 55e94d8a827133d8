/** What a client keeps of its streams: where it is in each, and which of them to fetch (docs/write-a-client.md). Pure. */
import type { Position } from "./types.ts";

/** Where the server says that a stream is. */
export interface Located extends Position {
  /** Everything after the client's cursor was sent. */
  recovered: boolean;
}

export class Streams {
  readonly positions = new Map<string, Position>();
  /** Streams whose state is to be read: events of them are missing. */
  readonly toFetch = new Set<string>();

  /** A stream is live, by `ready` or by the answer to `subscribe`. */
  locate(stream: string, { seq, id, recovered }: Located): void {
    if (!recovered) this.toFetch.add(stream);
    this.positions.set(stream, { seq, id });
  }

  /** A stream is over for this client. */
  forget(stream: string): void {
    this.positions.delete(stream);
    this.toFetch.delete(stream);
  }

  /**
   * Takes an event.
   * @returns `next`: to be applied; `known`: the client has it; `hole`: one before it is missing, and nothing was taken
   */
  take({ stream, seq, id }: { stream: string; seq: number; id: string }): "next" | "known" | "hole" {
    const last = this.positions.get(stream);
    if (last !== undefined && seq <= last.seq) return "known";
    if (last !== undefined && seq > last.seq + 1) return "hole";
    this.positions.set(stream, { seq, id });
    return "next";
  }
}
