import { afterEach, expect, jest, test } from "@jest/globals";
import { version } from "uuid";
import { isId, newId } from "../../core/ids.ts";

afterEach(() => void jest.restoreAllMocks());

test("ids ascend within a millisecond, and where the clock goes back", () => {
  const now = Date.now() + 1000;
  const clock = jest.spyOn(Date, "now").mockReturnValue(now);
  const ids = Array.from({ length: 5000 }, newId);
  clock.mockReturnValue(now - 500);
  ids.push(newId());
  clock.mockReturnValue(now + 1);
  ids.push(newId());
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every((id) => isId(id) && version(id) === 7)).toBe(true);
  const timeOf = (id: string | undefined) => Number.parseInt(String(id).replaceAll("-", "").slice(0, 12), 16);
  expect([timeOf(ids[0]), timeOf(ids.at(-1))]).toEqual([now, now + 1]);
});

test("no two of many ids share their random end", () => {
  const ends = new Set(Array.from({ length: 5000 }, () => newId().slice(-12)));
  expect(ends.size).toBe(5000);
});
