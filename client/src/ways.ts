/** The ways to a server: where the network blocks one, the client goes the next. */
import type { Http } from "./http.ts";
import { type Handshake, type Link, type LinkHandlers, SocketLink } from "./link.ts";
import { SyncLink } from "./sync-link.ts";
import { CODES } from "./types.ts";

type OpenLink = (handshake: Handshake, handlers: LinkHandlers, openMs: number) => Link;

/** In which a server must be reached, in milliseconds: a proxy may swallow what it does not know. */
const OPEN_MS = 3000;
const LONGEST_OPEN_MS = 20_000;

export class Ways {
  /** The best one first. */
  readonly #ways: readonly OpenLink[];
  #at = 0;
  /** The link that a better way is tried by. */
  #trial: Link | null = null;

  /** @param url the origin of the sockets */
  constructor(url: string, http: Http) {
    this.#ways = [
      (handshake, handlers, openMs) => new SocketLink(url, handshake, handlers, ["websocket"], openMs),
      // It changes over to a WebSocket at once where that works after all.
      (handshake, handlers, openMs) =>
        new SocketLink(url, handshake, handlers, ["polling", "websocket"], openMs),
      (handshake, handlers) => new SyncLink(http, handshake, handlers),
    ];
  }

  /** Connects by the present way. @param failures in a row: a slow network is given more time */
  open(handshake: Handshake, handlers: LinkHandlers, failures: number): Link {
    return this.#open(this.#at, handshake, handlers, failures);
  }

  /**
   * The present way did not open.
   * @param isReached whether the server said why
   * @returns whether another way is to be tried at once. After the last one the first is the next, after a pause
   */
  next(isReached: boolean): boolean {
    if (isReached && this.#at < this.#ways.length - 1) return false;
    this.#at = (this.#at + 1) % this.#ways.length;
    return this.#at > 0;
  }

  /**
   * Tries the ways that are better than the one of an open link, beside it, and takes the first that opens.
   * @param isOpen whether the link is still open
   * @returns whether there is one: the link is to be closed then
   */
  async improve(token: string, isOpen: () => boolean): Promise<boolean> {
    if (this.#trial !== null) return false;
    for (let at = 0; at < this.#at; at += 1) {
      const opens = await this.#opens(at, token);
      if (!isOpen()) return false;
      if (!opens) continue;
      this.#at = at;
      return true;
    }
    return false;
  }

  /** Ends a trial. */
  stop(): void {
    this.#trial?.close({ code: CODES.closed });
  }

  #open(at: number, handshake: Handshake, handlers: LinkHandlers, failures = 0): Link {
    const openMs = Math.min(LONGEST_OPEN_MS, OPEN_MS * 2 ** Math.max(0, failures - 1));
    return (this.#ways[at] as OpenLink)(handshake, handlers, openMs);
  }

  /** Whether the server takes a handshake that way. */
  #opens(at: number, token: string): Promise<boolean> {
    return new Promise((resolve) => {
      const ended = (): void => {
        this.#trial = null;
        resolve(false);
      };
      const opened = (): void => {
        resolve(true);
        this.stop();
      };
      const handshake = { token, cursors: {}, streams: [] };
      this.#trial = this.#open(at, handshake, { opened, received: () => undefined, ended });
    });
  }
}
