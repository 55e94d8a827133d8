/**
 * Positions: the keys that put the tasks of a project into one order (docs/reference.md, Order on a board).
 *
 * A position is a fraction in base 64 without its leading `0.`. DIGITS are in the order of their bytes, so Postgres (COLLATE
 * "C") and clients compare positions as they are. No position ends with the digit zero, so there is always one between two.
 */
const DIGITS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
const BASE = BigInt(DIGITS.length);

/** Digits of a position that is made for an end of the order: those of a new task's position that hold its time. */
const END_DIGITS = 12;
/** Digits that are added where two positions leave too little room between them. */
const DEEPER_DIGITS = 4;
/** How far a position is from the neighbour that it is put next to. */
const STEP = 64n;
/** What is left between two positions that are spread. */
const SPREAD_ROOM = STEP * STEP;

/** Digits up to which a position counts as short. */
export const SHORT_DIGITS = 48;
/** Digits beyond which a job shortens a position, and those that a position never has more of. */
export const [LONG_DIGITS, MOST_DIGITS] = [64, 256];

/** The position of a new task: its id, which begins with its time, so that new tasks go last and nothing is read for it. */
export const firstPosition = (id: string): string => id.replaceAll("-", "");

/** The first `digits` digits of a position as a whole number. */
function numberOf(position: string, digits: number): bigint {
  let number = 0n;
  for (let at = 0; at < digits; at++)
    number = number * BASE + BigInt(at < position.length ? DIGITS.indexOf(position.charAt(at)) : 0);
  return number;
}

function positionOf(number: bigint, digits: number): string {
  let position = "";
  for (let rest = number; position.length < digits; rest /= BASE)
    position = DIGITS.charAt(Number(rest % BASE)) + position;
  return position;
}

/** The next number that does not end with the digit zero. */
const unrounded = (number: bigint): bigint => (number % BASE === 0n ? number + 1n : number);

/** The numbers of so many digits that two positions, or an end of the order, leave between them. */
function gap(low: string | null, high: string | null, digits: number): { from: bigint; room: bigint } {
  const from = low === null ? 0n : numberOf(low, digits);
  const to = high === null ? BASE ** BigInt(digits) : numberOf(high, digits);
  return { from, room: to - from };
}

/**
 * A position between two others. At an end of the order, and beside the longer of the two, it is as close as a step: the
 * longer one was put there last, and the next one will often follow in the same direction. So a thousand moves in a row to
 * one place cost no digit.
 * @param low null before the first position
 * @param high null after the last one
 * @throws Error unless `low` is lower than `high`
 */
export function positionBetween(low: string | null, high: string | null): string {
  if (low !== null && high !== null && low >= high) throw new Error(`nothing is between ${low} and ${high}`);
  const longest = Math.max(low?.length ?? 0, high?.length ?? 0);
  const isEnd = low === null || high === null;
  for (let digits = isEnd ? END_DIGITS : longest; ; digits += DEEPER_DIGITS) {
    const { from, room } = gap(low, high, digits);
    // Of two numbers one may end with zero.
    if (room < 3n) continue;
    const half = room / 2n;
    const step = half < STEP ? half : STEP;
    let number = from + half;
    if (low === null) number = from + room - 1n;
    else if (high === null) number = from + 1n;
    else if (digits === longest && low.length > high.length) number = from + step;
    else if (digits === longest && low.length < high.length) number = from + room - step;
    if (number % BASE === 0n) number += number + 1n < from + room ? 1n : -1n;
    return positionOf(number, digits);
  }
}

/**
 * So many positions between two others, in their order, with room between each two. At an end of the order they keep close
 * to the other end, since new tasks go last.
 * @param low null before the first position
 * @param high null after the last one
 */
export function spreadBetween(low: string | null, high: string | null, count: number): string[] {
  const spread: string[] = [];
  if (high === null) {
    for (let last = low; spread.length < count; spread.push(last)) last = positionBetween(last, null);
    return spread;
  }
  if (low === null) {
    for (let first = high; spread.length < count; spread.unshift(first)) first = positionBetween(null, first);
    return spread;
  }
  for (let digits = 1; ; digits++) {
    const { from, room } = gap(low, high, digits);
    const each = room / BigInt(count + 1);
    if (each >= SPREAD_ROOM)
      return Array.from({ length: count }, (_, n) =>
        positionOf(unrounded(from + each * BigInt(n + 1)), digits),
      );
  }
}

/**
 * The moves that bring tasks from their positions to others in the same order, such that the order holds after each move:
 * what goes down goes from the lowest on, and what goes up from the highest on.
 * @param tasks with the positions that they have and get, in their order
 */
export function inSafeOrder<Moved extends { position: string; to: string }>(tasks: Moved[]): Moved[] {
  const moving = tasks.filter(({ position, to }) => position !== to);
  const down = moving.filter(({ position, to }) => to < position);
  const up = moving.filter(({ position, to }) => to > position).toReversed();
  return [...down, ...up];
}
