/** Pauses between attempts. */
import { ProblemError } from "./problem.ts";

/** The upper bound of the first pause, and that of the longest one. */
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

/** A random pause after so many failures in a row: 0 to 1 s at first, then up to twice as long, 0 to 30 s at most. */
export const pauseAfter = (failures: number): number =>
  Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.max(0, failures - 1));

/** The pause that the server asks for, and up to a fifth more, so that not all clients come back at once. */
export const pauseOf = (retryAfterSeconds: number): number =>
  Math.min(LONGEST_MS, retryAfterSeconds * 1000) * (1 + Math.random() / 5);

/** The pause after an attempt that failed: as long as the server asks for, or grows with the failures in a row. */
export function pauseFor(failures: number, error: unknown): number {
  const seconds = error instanceof ProblemError ? error.retryAfter : null;
  return seconds === null ? pauseAfter(failures) : pauseOf(seconds);
}

/** A pause that can be cut short. One pause at a time. */
export class Pause {
  #end: (() => void) | null = null;

  /** Resolves after `ms`, or when `end` is called. */
  wait(ms: number): Promise<void> {
    this.end();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.end(), ms);
      this.#end = () => {
        clearTimeout(timer);
        this.#end = null;
        resolve();
      };
    });
  }

  /** Ends the pause, if there is one. */
  end(): void {
    this.#end?.();
  }
}
