/** Where a user is in each stream, kept over reloads: each stream has a key of its own, so that an event writes a few bytes. */
import type { Saver } from "./storage.ts";
import { type Located, Streams } from "./streams.ts";
import type { ClientStorage, Position } from "./types.ts";

export interface CursorsOptions {
  storage: ClientStorage;
  saver: Saver;
  /** What all keys begin with. */
  prefix: string;
  failed: (error: unknown) => void;
}

export class Cursors {
  readonly #options: CursorsOptions;
  #streams = new Streams();
  /** Whose cursors these are; null before `load`. */
  #account: string | null = null;

  constructor(options: CursorsOptions) {
    this.#options = options;
  }

  get positions(): ReadonlyMap<string, Position> {
    return this.#streams.positions;
  }

  /** Takes up what an earlier page left. A storage that fails is an empty one. */
  async load(account: string): Promise<void> {
    if (this.#account === account) return;
    const { storage, failed } = this.#options;
    this.#account = account;
    this.#streams = new Streams();
    const prefix = this.#key("");
    try {
      for (const key of await storage.keys(prefix)) {
        const text = await storage.get(key);
        if (text !== null)
          this.#streams.positions.set(key.slice(prefix.length), JSON.parse(text) as Position);
      }
    } catch (error) {
      failed(error);
    }
  }

  /** Forgets whose cursors these are; what is kept stays. */
  clear(): void {
    this.#account = null;
    this.#streams = new Streams();
  }

  /** A stream is live. */
  locate(stream: string, located: Located): void {
    this.#streams.locate(stream, located);
    this.save(stream);
  }

  /** A stream is over for this user. */
  forget(stream: string): void {
    this.#streams.forget(stream);
    this.save(stream);
  }

  /** Takes an event, and does not save it: see `Streams.take`. */
  take(event: { stream: string; seq: number; id: string }): "next" | "known" | "hole" {
    return this.#streams.take(event);
  }

  /** Writes down where the user is in a stream. */
  save(stream: string): void {
    const position = this.#streams.positions.get(stream);
    this.#options.saver.save(
      this.#key(stream),
      position === undefined ? null : () => JSON.stringify(position),
    );
  }

  #key(stream: string): string {
    return `${this.#options.prefix}cursor:${this.#account}:${stream}`;
  }
}
