import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { explain } from "../core/explain.ts";
import { safeError } from "../core/redact.ts";

/** Signals within this time count as one: npm passes on a Ctrl-C that the terminal also sends to this process. */
const ONE_PRESS_MS = 500;
/** Milliseconds that an aborted start has to give up. */
const GIVE_UP_MS = 3000;

export interface Part {
  /** Named to a user who waits for it. */
  name: string;
  stop(): Promise<void>;
  /** Ends the part without waiting for its work. A part that has no `force` is always waited for. */
  force?(): void;
}

export interface Starting {
  /** Aborted when the program has to end while it still starts. */
  signal: AbortSignal;
  say: (line: string) => void;
  /** Hands over a running part: it stops before the parts that came earlier. */
  own: (part: Part) => void;
}

/**
 * A program of parts that start one after another. However it ends (Ctrl-C, SIGTERM, a closed terminal, a part that does
 * not start, a fault), the running parts stop in the opposite order, so that nothing is left.
 *
 * The second Ctrl-C changes nothing and says what the program waits for; the third forces the parts that have `force`.
 */
export class Program {
  readonly #parts: Part[] = [];
  readonly #ending = new AbortController();
  readonly #forced = Promise.withResolvers<void>();
  #starting: Promise<void> = Promise.resolve();
  #started = false;
  #current = "the start";
  #presses = 0;
  #lastPress = -Infinity;

  readonly say = (line: string): void => void process.stdout.write(`${line}\n`);

  /** Starts the program. Exits with 1, and one line of `describe`, when `start` throws. */
  async run(
    start: (starting: Starting) => Promise<void>,
    describe: (error: unknown) => string,
  ): Promise<void> {
    this.#listen();
    const starting: Starting = {
      signal: this.#ending.signal,
      say: this.say,
      own: (part) => void this.#parts.push(part),
    };
    this.#starting = start(starting);
    try {
      await this.#starting;
      this.#started = true;
    } catch (error) {
      // An aborted start fails anywhere, and `stop` is at work already.
      if (this.#ending.signal.aborted) return;
      process.stderr.write(`${describe(error)}\n`);
      await this.stop(null, 1);
    }
  }

  /**
   * Stops all parts and exits.
   * @param reason for the terminal; null when the terminal shows it already
   * @param code by default 0 when the program had started, else 1
   */
  async stop(reason: string | null, code?: number): Promise<void> {
    if (this.#ending.signal.aborted) return;
    let exitCode = code ?? (this.#started ? 0 : 1);
    this.#ending.abort();
    if (reason !== null) this.say(`Taskwire: stopping (${reason})`);
    await Promise.race([this.#starting.catch(() => {}), delay(GIVE_UP_MS), this.#forced.promise]);
    for (const part of this.#parts.reverse()) {
      this.#current = part.name;
      const ended = [part.stop()];
      if (part.force) ended.push(this.#forced.promise.then(() => part.force?.()));
      await Promise.race(ended).catch((error: unknown) => {
        exitCode = 1;
        process.stderr.write(`Taskwire: ${part.name} did not stop cleanly: ${explain(error)}\n`);
      });
    }
    process.exit(exitCode);
  }

  #listen(): void {
    process.on("SIGINT", () => this.#press("Ctrl-C"));
    process.on("SIGTERM", () => this.#press("SIGTERM"));
    process.on("SIGHUP", () => this.#press("the terminal was closed"));
    // The parent (local/process-group.ts) is gone, and with it the reader of stdout.
    process.on("disconnect", () => void this.stop("its parent is gone"));
    process.stdout.on("error", () => {});
    process.stderr.on("error", () => {});
    process.on("uncaughtException", (error: unknown) => {
      if (this.#ending.signal.aborted) return;
      const shown = this.#started && error instanceof Error ? safeError(error).stack : explain(error);
      process.stderr.write(`Taskwire: ${shown}\n`);
      void this.stop("after this fault", 1);
    });
  }

  #press(reason: string): void {
    const now = performance.now();
    const repeated = now - this.#lastPress < ONE_PRESS_MS;
    this.#lastPress = now;
    if (repeated) return;
    this.#presses += 1;
    if (this.#presses === 1) void this.stop(reason);
    else if (this.#presses === 2)
      this.say(`Taskwire: waiting for ${this.#current}; press Ctrl-C again to stop without waiting`);
    else this.#forced.resolve();
  }
}
