/** When iterations begin, and how many virtual users there are: pure functions of the options. */
import { milliseconds } from "./durations.ts";

export interface Stage {
  duration: string | number;
  target: number;
}

/**
 * The starts of the iterations of an arrival rate that goes in straight lines from target to target.
 * @param start iterations a second before the first stage
 * @param stages targets in iterations a second
 * @returns milliseconds since the begin of the scenario, ascending
 */
export function* arrivals(start: number, stages: Stage[]): Generator<number> {
  let begin = 0;
  let from = start / 1000;
  /** Iterations that were due before this stage, a fraction of one included. */
  let before = 0;
  let next = 0;
  for (const { duration, target } of stages) {
    const ms = milliseconds(duration);
    const to = target / 1000;
    const slope = ms === 0 ? 0 : (to - from) / ms;
    const due = ((from + to) / 2) * ms;
    for (; next < before + due - 1e-9; next++) {
      const count = Math.max(0, next - before);
      // The root of count = from·t + slope·t²/2 that loses no digits.
      const root = Math.sqrt(Math.max(0, from * from + 2 * slope * count));
      yield begin + (count === 0 ? 0 : (2 * count) / (from + root));
    }
    before += due;
    begin += ms;
    from = to;
  }
}

/** The length of all stages. @returns milliseconds */
export const lengthOf = (stages: Stage[]): number =>
  stages.reduce((sum, { duration }) => sum + milliseconds(duration), 0);

/**
 * The changes of the number of virtual users that goes in straight lines from target to target.
 * @returns milliseconds since the begin of the scenario, and how many there are from then on
 */
export function* changes(start: number, stages: Stage[]): Generator<{ at: number; vus: number }> {
  let begin = 0;
  let from = start;
  if (start > 0) yield { at: 0, vus: start };
  for (const { duration, target } of stages) {
    const ms = milliseconds(duration);
    const steps = Math.abs(target - from);
    const sign = Math.sign(target - from);
    for (let step = 1; step <= steps; step++)
      yield { at: begin + (ms * step) / steps, vus: from + sign * step };
    begin += ms;
    from = target;
  }
}
