import { describe, expect, test } from "@jest/globals";
import { MAX_STREAMS, parseCursor, parseHandshake, parseStream } from "../../services/notifier/handshake.ts";
import { idOf, problem } from "./fixtures.ts";

const PROJECT = `project:${idOf("a")}`;
const USER = `user:${idOf("b")}`;

/** Matches the 422 for one place of what the client sent. */
const invalidAt = (pointer: string) =>
  problem("validation-failed", {
    data: { errors: [{ pointer, code: "invalid", message: expect.any(String) }] },
  }) as Error;

describe("a stream's name", () => {
  test.each([PROJECT, USER])("%s is one", (name) => {
    expect(parseStream(name, "stream")).toBe(name);
  });

  test.each([
    "project:launch",
    "project:",
    `project:${idOf("a")} `,
    `project:${idOf("a").toUpperCase()}`,
    `task:${idOf("a")}`,
    `xproject:${idOf("a")}`,
    idOf("a"),
    "",
    7,
    null,
    undefined,
    {},
    [PROJECT],
  ])("%j is none", (name) => {
    expect(() => parseStream(name, "stream")).toThrow(invalidAt("#/stream"));
  });
});

describe("a cursor", () => {
  test.each([0, 1, 41, Number.MAX_SAFE_INTEGER])("%d is one, of an event whose id is not checked", (seq) => {
    expect(parseCursor(seq, "cursor")).toEqual({ seq, id: null });
    expect(parseCursor({ seq }, "cursor")).toEqual({ seq, id: null });
    expect(parseCursor({ seq, id: null }, "cursor")).toEqual({ seq, id: null });
  });

  test("has the id of the event, in either case; before the first one there is none", () => {
    expect(parseCursor({ seq: 41, id: idOf("E") }, "cursor")).toEqual({ seq: 41, id: idOf("e") });
    expect(parseCursor({ seq: 0, id: idOf("e") }, "cursor")).toEqual({ seq: 0, id: null });
  });

  test.each([
    -1,
    1.5,
    NaN,
    Infinity,
    2 ** 53,
    "41",
    null,
    undefined,
    {},
    [],
    { seq: -1 },
    { seq: "41" },
    { id: idOf("e") },
    { seq: 41, id: "e" },
    { seq: 41, id: 41 },
  ])("%p is none", (cursor) => {
    expect(() => parseCursor(cursor, "cursor")).toThrow(invalidAt("#/cursor"));
  });
});

describe("a handshake", () => {
  test("with a token alone asks for the usual streams, from where they are", () => {
    expect(parseHandshake({ token: "t" })).toEqual({ token: "t", streams: null, cursors: new Map() });
  });

  test("names streams and cursors", () => {
    const cursors = { [PROJECT]: { seq: 41, id: idOf("e") }, [USER]: 0 };
    expect(parseHandshake({ token: "t", streams: [USER, PROJECT], cursors })).toEqual({
      token: "t",
      streams: [USER, PROJECT],
      cursors: new Map([
        [PROJECT, { seq: 41, id: idOf("e") }],
        [USER, { seq: 0, id: null }],
      ]),
    });
  });

  test("may ask for no stream at all", () => {
    expect(parseHandshake({ token: "t", streams: [] }).streams).toEqual([]);
  });

  test.each([[undefined], [null], ["t"], [["t"]], [{}], [{ token: "" }], [{ token: 7 }], [{ token: null }]])(
    "%j has no token: unauthenticated",
    (auth) => {
      expect(() => parseHandshake(auth)).toThrow(problem("unauthenticated", { code: 401 }) as Error);
    },
  );

  test.each<[string, object, pointer: string]>([
    ["streams that are no list", { streams: PROJECT }, "#/streams"],
    ["streams that are an object", { streams: { 0: PROJECT } }, "#/streams"],
    ["a stream that is none", { streams: [USER, "project:x"] }, "#/streams/1"],
    ["cursors that are no object", { cursors: 41 }, "#/cursors"],
    ["cursors that are a list", { cursors: [41] }, "#/cursors"],
    ["cursors that are null", { cursors: null }, "#/cursors"],
    ["a cursor of no stream", { cursors: { launch: 41 } }, "#/cursors"],
    ["a cursor that is none", { cursors: { [PROJECT]: -1 } }, `#/cursors/${PROJECT}`],
  ])("is refused with %s", (_what, more, pointer) => {
    expect(() => parseHandshake({ token: "t", ...more })).toThrow(invalidAt(pointer));
  });

  const names = (count: number) =>
    Array.from(
      { length: count },
      (_, at) => `project:0198c0de-0000-7000-8000-${String(at).padStart(12, "0")}`,
    );
  const cursorsOf = (count: number) => Object.fromEntries(names(count).map((name) => [name, 1]));

  test("has room for so many streams and cursors, and not for one more", () => {
    const most = parseHandshake({ token: "t", streams: names(MAX_STREAMS), cursors: cursorsOf(MAX_STREAMS) });
    expect([most.streams?.length, most.cursors.size]).toEqual([MAX_STREAMS, MAX_STREAMS]);
    const more = MAX_STREAMS + 1;
    const tooMany = problem("too-many-streams", { code: 422 }) as Error;
    expect(() => parseHandshake({ token: "t", streams: names(more) })).toThrow(tooMany);
    expect(() => parseHandshake({ token: "t", cursors: cursorsOf(more) })).toThrow(tooMany);
  });
});
