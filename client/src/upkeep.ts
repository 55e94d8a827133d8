/** Looks after one open link: it gets a new token before its own runs out, and makes room for a better one. */
import type { Auth } from "./auth.ts";
import type { Link } from "./link.ts";
import { CODES } from "./types.ts";
import type { Ways } from "./ways.ts";

/** How soon an open link has to answer when the page comes back. */
const PROBE_MS = 5000;
/** After a renewal that brought no other token. */
const RENEW_AGAIN_MS = 5000;
/** How long a link goes a worse way before a better one is tried, at first and at most. */
const TRY_MS = 5000;
const LONGEST_TRY_MS = 60_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface UpkeepOptions {
  auth: Auth;
  ways: Ways;
  link: Link;
  /** What the link was opened with. */
  token: string;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  /** The last token that the server was given. */
  #token: string;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #trial: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#token = options.token;
    this.#renewLater();
    this.#improveLater(TRY_MS);
  }

  /** The link has ended. */
  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#renewal);
    clearTimeout(this.#trial);
    this.#options.ways.stop();
  }

  /** The network or the user is back: the link has to show that it is one. */
  probe(): void {
    void this.#renew(PROBE_MS);
    void this.improve();
  }

  /** Ends the link where a better way opens: the next one goes on where this one was. */
  async improve(): Promise<void> {
    const { auth, ways, link } = this.#options;
    if (link.transport === "websocket") return;
    try {
      const token = await auth.token();
      if (await ways.improve(token, () => !this.#isOver)) link.close({ code: CODES.better });
    } catch {
      // Without a token: the link says what is to be done.
    }
  }

  /** @param leastMs the least time until the renewal, in milliseconds */
  #renewLater(leastMs = 0): void {
    const { renewAt } = this.#options.auth;
    if (renewAt === null || this.#isOver) return;
    clearTimeout(this.#renewal);
    // A timer may be early by a part of a millisecond, when the token is not due.
    const ms = Math.min(Math.max(leastMs, renewAt - Date.now() + 2), LONGEST_TIMER_MS);
    this.#renewal = setTimeout(() => void this.#renew(), ms);
  }

  async #renew(timeoutMs?: number): Promise<void> {
    const { auth, link } = this.#options;
    try {
      const token = await auth.token();
      if (this.#isOver) return;
      // Where the token is refused the socket keeps the old one, and says so when that runs out.
      const { problem } = await link.ask("authenticate", { token }, timeoutMs);
      if (problem !== undefined) return;
      this.#renewLater(token === this.#token ? RENEW_AGAIN_MS : 0);
      this.#token = token;
    } catch {
      // The socket says `token_expired`, or has ended.
    }
  }

  #improveLater(ms: number): void {
    if (this.#isOver) return;
    const again = (): void => this.#improveLater(Math.min(2 * ms, LONGEST_TRY_MS));
    this.#trial = setTimeout(() => void this.improve().then(again), ms * (1 + Math.random() / 5));
  }
}
