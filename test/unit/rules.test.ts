import { describe, expect, test } from "@jest/globals";
import FastestValidator, { type ValidationError } from "fastest-validator";
import { isId, newId } from "../../core/ids.ts";
import { pageRules } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { idOf } from "./fixtures.ts";

type Validator = InstanceType<typeof FastestValidator.default>;
/** As Moleculer makes its own. */
const validator = new (FastestValidator as unknown as new (options: object) => Validator)({
  useNewCustomCheckerFunction: true,
});

/** The params after validation, or the codes of what is wrong with them. */
function validated(schema: object, params: Record<string, unknown>): unknown {
  const check = validator.compile({ $$strict: true, ...schema }) as (value: object) => unknown;
  const value = structuredClone(params);
  const answer = check(value);
  return answer === true
    ? value
    : (answer as ValidationError[]).map(({ field, type }) => `${field}: ${type}`);
}

describe("a timestamp", () => {
  test.each([
    ["2026-11-21T09:30:00Z", "2026-11-21T09:30:00.000Z"],
    ["2026-11-21T09:30:00.5Z", "2026-11-21T09:30:00.500Z"],
    ["2026-11-21T09:30:00.123456789Z", "2026-11-21T09:30:00.123Z"],
    ["2026-11-21T09:30Z", "2026-11-21T09:30:00.000Z"],
    ["2026-11-21T09:30:00+05:30", "2026-11-21T04:00:00.000Z"],
    ["2026-11-21T23:30:00-01:00", "2026-11-22T00:30:00.000Z"],
    ["2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000Z"],
    ["2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000Z"],
    ["2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000Z"],
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"],
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"],
  ])("%s is stored as %s", (text, expected) => {
    expect(rules.parseTimestamp(text)).toBe(expected);
  });

  test.each([
    ["30 February", "2026-02-30T12:00:00Z"],
    ["29 February of no leap year", "2026-02-29T12:00:00Z"],
    ["29 February of a century that is no leap year", "1900-02-29T12:00:00Z"],
    ["31 April", "2026-04-31T12:00:00Z"],
    ["day 0", "2026-04-00T12:00:00Z"],
    ["month 13", "2026-13-01T12:00:00Z"],
    ["month 0", "2026-00-01T12:00:00Z"],
    ["hour 25", "2026-04-01T25:00:00Z"],
    ["hour 24, which RFC 3339 does not have", "2026-04-01T24:00:00Z"],
    ["minute 60", "2026-04-01T12:60:00Z"],
    ["no offset", "2026-04-01T12:00:00"],
    ["an offset of 24 hours", "2026-04-01T12:00:00+24:00"],
    ["a date alone", "2026-04-01"],
    ["a space for T", "2026-04-01 12:00:00Z"],
    ["text around it", " 2026-04-01T12:00:00Z "],
    ["a line break after it", "2026-04-01T12:00:00Z\n"],
    ["another language", "Wed, 01 Apr 2026 12:00:00 GMT"],
    ["nothing", ""],
    ["the year 10000 in UTC", "9999-12-31T23:30:00-01:00"],
    ["the year 0, which Postgres does not have", "0000-06-01T00:00:00Z"],
    ["a year before 0 in UTC", "0000-01-01T00:30:00+01:00"],
  ])("%s is none: %j", (_what, text) => {
    expect(rules.parseTimestamp(text)).toBeNull();
  });

  const due = { due: { ...rules.timestamp, optional: true, nullable: true } };
  test("passes the validator in UTC; null and nothing pass as they are", () => {
    expect(validated(due, { due: "2026-11-21T10:30:00+01:00" })).toEqual({ due: "2026-11-21T09:30:00.000Z" });
    expect(validated(due, { due: null })).toEqual({ due: null });
    expect(validated(due, {})).toEqual({});
  });

  test.each([
    ["2026-02-30T12:00:00Z", ["due: timestamp"]],
    [1_790_000_000_000, ["due: string"]],
    [{}, ["due: string"]],
  ])("is refused by the validator as %j, with one error", (value, errors) => {
    expect(validated(due, { due: value })).toEqual(errors);
  });
});

describe("a comma list", () => {
  const schema = { status: rules.commaList(["pending", "completed", "archived"]) };

  test.each([
    ["pending", ["pending"]],
    ["completed,pending", ["completed", "pending"]],
    ["pending,pending,archived,pending", ["pending", "archived"]],
  ])("%j arrives as %j", (text, items) => {
    expect(validated(schema, { status: text })).toEqual({ status: items });
  });

  test("may be left out", () => {
    expect(validated(schema, {})).toEqual({});
  });

  test.each(["", ",", "pending,", "pending, completed", "PENDING", "unknown", "pending,unknown"])(
    "%j is refused",
    (text) => {
      expect(validated(schema, { status: text })).toEqual(["status: commaList"]);
    },
  );

  test.each([[["unknown"]], [7], [true], [{ length: 1 }]])("%j is refused", (value) => {
    expect(validated(schema, { status: value })).toEqual(["status: commaList"]);
  });
});

describe("an id", () => {
  test.each<[string, object, unknown, unknown]>([
    ["needed", rules.id, idOf("a"), { id: idOf("a") }],
    ["needed", rules.id, "1", ["id: uuid"]],
    ["needed", rules.id, null, ["id: required"]],
    ["optional", rules.optionalId, undefined, { id: undefined }],
    ["nullable", rules.nullableId, null, { id: null }],
    ["nullable", rules.nullableId, "null", ["id: uuid"]],
  ])("that is %s: %j validates %j to %j", (_what, rule, id, expected) => {
    expect(validated({ id: rule }, { id })).toEqual(expected);
  });

  test("that is new is a UUIDv7, later than the last", () => {
    const ids = Array.from({ length: 100 }, newId);
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(100);
  });

  test.each<[string, boolean]>([
    [newId(), true],
    [newId().toUpperCase(), true],
    ["9b2fdc3a-4b0c-4f4e-8b1a-2a3c4d5e6f70", true],
    ["a-slug-of-a-project", false],
    [newId().replaceAll("-", ""), false],
    [`${newId()} `, false],
    ["", false],
  ])("is told from a slug: %s is one: %s", (value, expected) => {
    expect(isId(value)).toBe(expected);
  });
});

describe("text", () => {
  const schema = {
    title: { ...rules.text(1, 5), trim: true },
    body: { ...rules.text(0, 5), optional: true },
  };

  test.each([
    ["Cafe\u0301", "Caf\u00e9"],
    ["\u1112\u1161\u11ab", "\ud55c"],
    ["\u212b", "\u00c5"],
    ["e\u0301".repeat(5), "\u00e9".repeat(5)],
    ["a\u200bb", "a\u200bb"],
    ["\ufb01", "\ufb01"],
  ])("%j is kept in NFC, as %j", (given, kept) => {
    expect(validated(schema, { title: given })).toEqual({ title: kept });
  });

  test.each([
    "\u200b",
    "\u00ad\u2060",
    " \u200d ",
    "\u202e",
    "\u3164",
    "\u2800",
    "\ufeff",
    "\u{e0001}",
    "\u0001",
  ])("%j shows nothing, and is empty", (title) => {
    expect(validated(schema, { title })).toEqual(["title: characters"]);
    expect(validated(schema, { title: "x", body: title })).toEqual({ title: "x", body: "" });
  });

  test("that is a secret is what was typed", () => {
    const secret = { secret: rules.text(1, 5, true) };
    for (const typed of ["e\u0301", "\u200b"])
      expect(validated(secret, { secret: typed })).toEqual({ secret: typed });
  });
});

describe("a flag", () => {
  test.each([
    ["true", { flag: true }],
    ["false", { flag: false }],
    [true, { flag: true }],
    ...["1", "0", "on", "TRUE", "", " true", 1, "__proto__"].map((value) => [value, ["flag: boolean"]]),
  ] as [unknown, unknown][])("%j is %j", (value, expected) => {
    expect(validated({ flag: rules.flag }, { flag: value })).toEqual(expected);
  });
});

describe("a page", () => {
  test.each<[object, unknown]>([
    [{}, { limit: 20 }],
    [
      { limit: "1", offset: "40" },
      { limit: 1, offset: 40 },
    ],
    [{ limit: "100" }, { limit: 100 }],
    [
      { limit: 5, cursor: "", sort: "-name,created_at" },
      { limit: 5, cursor: "", sort: "-name,created_at" },
    ],
    [{ limit: 5, cursor: "x", offset: 0 }, ["cursor: exclusive"]],
    [{ sort: "name,-name" }, ["sort: sort"]],
    [{ sort: "role" }, ["sort: sort"]],
    [{ sort: "" }, ["sort: sort"]],
    [
      { limit: 5, offset: 2 },
      { limit: 5, offset: 2 },
    ],
    [{ limit: "101" }, ["limit: numberMax"]],
    [{ limit: "0" }, ["limit: numberMin"]],
    [{ limit: "1.5" }, ["limit: number"]],
    [{ limit: "0x10" }, ["limit: number"]],
    [{ limit: " 7" }, ["limit: number"]],
    [{ limit: "" }, ["limit: number"]],
    [{ limit: true }, ["limit: number"]],
    [{ limit: 7.5 }, ["limit: number"]],
    [{ limit: "many" }, ["limit: number"]],
    [{ limit: ["1", "2"] }, ["limit: number"]],
    [{ offset: "-1" }, ["offset: numberMin"]],
    [{ offset: "1e99" }, ["offset: number"]],
    [{ offset: "9".repeat(20) }, ["offset: numberMax"]],
    [{ limit: "Infinity" }, ["limit: number"]],
  ])("asked for by %j is %j", (params, expected) => {
    expect(validated(pageRules("name", "created_at"), params as Record<string, unknown>)).toEqual(expected);
  });
});
