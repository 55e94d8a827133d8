import type { ServerResponse } from "node:http";

/** The calls of this gateway that wait for events, with the responses that they are for. */
export class WaitingCalls {
  readonly #calls = new Set<string>();
  readonly #onOver: (calls: string[]) => void;
  #isClosed = false;

  /** @param onOver gets the calls whose answers nobody needs any more, or that must be answered now */
  constructor(onOver: (calls: string[]) => void) {
    this.#onOver = onOver;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Tracks a call until its response is sent. A client that hangs up ends it. @returns whether it may wait */
  begin(call: string, response: ServerResponse): boolean {
    if (this.#isClosed || response.closed) return false;
    this.#calls.add(call);
    response.once("close", () => {
      this.#calls.delete(call);
      if (!response.writableFinished) this.#onOver([call]);
    });
    return true;
  }

  /** Has all calls answered now, and lets none wait from now on. */
  close(): void {
    this.#isClosed = true;
    if (this.#calls.size > 0) this.#onOver([...this.#calls]);
  }
}
