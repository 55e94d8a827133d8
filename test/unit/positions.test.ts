/** Keys of the order on a board: always one between two, and short. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { newId } from "../../core/ids.ts";
import {
  firstPosition,
  inSafeOrder,
  LONG_DIGITS,
  positionBetween,
  SHORT_DIGITS,
  spreadBetween,
} from "../../services/tasks/positions.ts";

const DIGITS = [..."-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"];
const digit = fc.constantFrom(...DIGITS);
const position = fc
  .tuple(fc.array(digit, { maxLength: 40 }), fc.constantFrom(...DIGITS.slice(1)))
  .map(([digits, last]) => [...digits, last].join(""));
const two = fc
  .uniqueArray(position, { minLength: 2, maxLength: 2 })
  .map((pair) => pair.sort() as [string, string]);

const WELL_FORMED = /^[-0-9A-Z_a-z]*[0-9A-Z_a-z]$/;
const isBetween = (low: string | null, one: string, high: string | null): boolean =>
  WELL_FORMED.test(one) && (low === null || low < one) && (high === null || one < high);

test("digits are in the order of their bytes", () => {
  expect(DIGITS.toSorted()).toEqual(DIGITS);
});

test("a new task's position follows those of earlier ones", () => {
  const made = Array.from({ length: 1000 }, () => firstPosition(newId()));
  expect(made.toSorted()).toEqual(made);
  for (const one of made) expect(one).toMatch(WELL_FORMED);
});

describe("a position", () => {
  test("is between any two others, and beyond any one", () => {
    fc.assert(
      fc.property(two, ([low, high]) => {
        const found = [
          isBetween(low, positionBetween(low, high), high),
          isBetween(null, positionBetween(null, low), low),
          isBetween(high, positionBetween(high, null), null),
        ];
        expect(found).toEqual([true, true, true]);
      }),
      { numRuns: 2000 },
    );
  });

  test("at an end costs no digit, however often", () => {
    for (const next of [
      (last: string) => positionBetween(last, null),
      (last: string) => positionBetween(null, last),
    ]) {
      let last = firstPosition(newId());
      for (let n = 0; n < 5000; n++) {
        last = next(last);
        expect(last.length).toBeLessThanOrEqual(12);
      }
    }
  });

  test("behind the last one is before that of a task that is created a moment later", () => {
    const now = Date.now();
    const idAt = (ms: number) => `${ms.toString(16).padStart(12, "0")}7fff8fffffffffffffff`;
    expect(positionBetween(idAt(now), null) < idAt(now + 20)).toBe(true);
  });

  test.each<[string, (low: string, high: string, made: string) => [string, string]]>([
    ["before the same task", (_low, high, made) => [made, high]],
    ["after the same task", (low, _high, made) => [low, made]],
  ])("in a row of 10,000 moves %s stays short", (_what, next) => {
    let [low, high] = [firstPosition(newId()), firstPosition(newId())];
    for (let n = 0; n < 10_000; n++) {
      const made = positionBetween(low, high);
      if (!isBetween(low, made, high) || made.length > SHORT_DIGITS) expect([n, low, made, high]).toBeNull();
      [low, high] = next(low, high, made);
    }
  });

  test.each([10, 200])("of one of %i tasks that moves anywhere, 10,000 times, stays short", (count) => {
    const random = fc.sample(fc.array(fc.nat(), { minLength: 20_000, maxLength: 20_000 }), {
      seed: count,
      numRuns: 1,
    })[0] as number[];
    const order = Array.from({ length: count }, () => firstPosition(newId()));
    let longest = 0;
    for (let n = 0; n < 10_000; n++) {
      order.splice((random[2 * n] as number) % order.length, 1);
      const at = (random[2 * n + 1] as number) % (order.length + 1);
      const made = positionBetween(order[at - 1] ?? null, order[at] ?? null);
      order.splice(at, 0, made);
      longest = Math.max(longest, made.length);
    }
    expect(order.toSorted()).toEqual(order);
    expect(new Set(order).size).toBe(count);
    expect(longest).toBeLessThanOrEqual(LONG_DIGITS);
  });
});

describe("a spread", () => {
  const ends = fc.oneof(
    two,
    position.map((one): [null, string] => [null, one]),
    position.map((one): [string, null] => [one, null]),
  );

  test("is in order, between its ends, and shorter than what a job has to shorten", () => {
    fc.assert(
      fc.property(ends, fc.integer({ min: 1, max: 300 }), ([low, high], count) => {
        const spread = spreadBetween(low, high, count);
        expect([spread.length, new Set(spread).size]).toEqual([count, count]);
        expect(spread.toSorted()).toEqual(spread);
        expect(spread.every((one) => isBetween(low, one, high) && one.length < LONG_DIGITS)).toBe(true);
      }),
    );
  });

  test("is made by moves of which each leaves the order as it is", () => {
    const tasks = fc.integer({ min: 1, max: 30 }).chain((count) => {
      const places = fc
        .uniqueArray(position, { minLength: count, maxLength: count })
        .map((some) => some.toSorted());
      return fc
        .tuple(places, places)
        .map(([old, to]) => old.map((one, n) => ({ id: n, position: one, to: to[n] as string })));
    });
    fc.assert(
      fc.property(tasks, (some) => {
        const at = new Map(some.map((task) => [task.id, task.position]));
        for (const { id, to } of inSafeOrder(some)) {
          at.set(id, to);
          const ids = [...at].sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([one]) => one);
          expect(ids).toEqual(some.map((task) => task.id));
        }
        expect([...at.values()]).toEqual(some.map(({ to }) => to));
      }),
    );
  });
});
