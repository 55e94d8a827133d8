/** Which requests a gateway refuses, by how long those before them took. */
import { beforeEach, describe, expect, test } from "@jest/globals";
import { LoadShedder, MIN_LIMIT } from "../../services/api-gateway/load-shedder.ts";

let now: number;
let lines: string[];
let shedder: LoadShedder;
beforeEach(() => {
  now = 0;
  lines = [];
  shedder = new LoadShedder({ warn: (line: unknown) => lines.push(String(line)) }, { now: () => now });
});

const begin = (count: number) => Array.from({ length: count }, () => shedder.begin());
const isAdmitted = (kind: "stranger" | "read" | "write"): boolean => {
  try {
    shedder.admit(kind);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ type: "overloaded" });
    return false;
  }
};

/** `count` requests under way at any time, each of which takes so long, for so many windows. */
function load(count: number, took: number, windows: number): void {
  for (let window = 0; window < windows; window++) {
    const requests = begin(count);
    now += 100;
    for (const end of requests) end(took);
    void shedder.limit;
  }
}

test("requests that are answered in time are all admitted, in a burst too", () => {
  load(200, 40, 10);
  begin(250);
  for (const kind of ["stranger", "read", "write"] as const) expect(isAdmitted(kind)).toBe(true);
});

test("the limit falls to what is answered in time, and no further than its least value", () => {
  const before = shedder.limit;
  load(800, 400, 1);
  expect(shedder.limit).toBeLessThanOrEqual(before / 2);
  load(800, 400, 5);
  expect(shedder.limit).toBe(MIN_LIMIT);
});

test("a few requests alone do not move it, however slow they are", () => {
  const before = shedder.limit;
  load(MIN_LIMIT / 2 - 1, 5000, 5);
  expect(shedder.limit).toBe(before);
});

test("a few slow requests among fast ones do not move it", () => {
  const before = shedder.limit;
  for (let window = 0; window < 5; window++) {
    const requests = begin(100);
    now += 100;
    requests.forEach((end, nth) => end(nth < 40 ? 3000 : 10));
  }
  expect(shedder.limit).toBe(before);
});

test("requests that have waited for a dead node do not move it, here or where its death was noticed later", () => {
  const before = shedder.limit;
  const hanging = begin(200);
  now += 50;
  shedder.nodeDied();
  now += 50;
  hanging.forEach((end) => end(1200));
  load(200, 1200, 20);
  expect(shedder.limit).toBe(before);
  // Then they count again.
  now += 500;
  load(200, 1200, 2);
  expect(shedder.limit).toBeLessThan(before / 2);
});

test("it falls when nothing ends any more, and recovers once requests are in time again, or none come", () => {
  const before = shedder.limit;
  const stuck = begin(100);
  now += 300;
  expect(shedder.limit).toBeLessThan(before / 4);
  now += 1000;
  expect(shedder.limit).toBe(MIN_LIMIT);
  stuck.forEach((end) => end(null));
  load(50, 20, 10);
  expect(shedder.limit).toBeGreaterThan(MIN_LIMIT);
  now += 60_000;
  expect(shedder.limit).toBe(before);
});

describe("when more are under way than are answered in time", () => {
  beforeEach(() => load(1000, 1000, 10));

  test.each([
    [MIN_LIMIT / 2 - 1, [true, true, true]],
    [MIN_LIMIT / 2, [false, true, true]],
    [MIN_LIMIT * 0.75, [false, false, true]],
    [MIN_LIMIT, [false, false, false]],
  ])("of %i, strangers are refused first, then reads, last writes", (count, expected) => {
    begin(count);
    expect([isAdmitted("stranger"), isAdmitted("read"), isAdmitted("write")]).toEqual(expected);
  });

  test("a request that ends makes room, once", () => {
    const [first] = begin(MIN_LIMIT);
    expect(isAdmitted("write")).toBe(false);
    first?.(10);
    first?.(10);
    expect(shedder.underWay).toBe(MIN_LIMIT - 1);
    expect(isAdmitted("write")).toBe(true);
  });

  test("a refused client learns when to come again, and not all at once; the log says it now and then", () => {
    begin(MIN_LIMIT);
    const waits = new Set<string>();
    for (let nth = 0; nth < 200; nth++)
      try {
        shedder.admit("write");
      } catch (error) {
        const { headers } = (error as { data: { headers: Record<string, string> } }).data;
        waits.add(headers["Retry-After"] as string);
      }
    expect([...waits].sort()).toEqual(["1", "2", "3"]);
    expect(lines).toHaveLength(1);
    now += 10_000;
    begin(1000);
    expect(isAdmitted("write")).toBe(false);
    expect(lines[1]).toMatch(/^200 requests were refused: \d+ at once/);
  });
});
