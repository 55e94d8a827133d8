import { describe, expect, test } from "@jest/globals";
import { problemCode } from "../../core/errors.ts";
import { mustBeBounded } from "../../services/api-gateway/body-bounds.ts";

/** `null` for a text that is let through, else the code of the refusal. */
function refusalOf(text: string): string | null {
  try {
    mustBeBounded(Buffer.from(text));
    return null;
  } catch (error) {
    return problemCode(error);
  }
}

const list = (items: number, item = "1"): string => `[${Array(items).fill(item).join(",")}]`;
const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
const named = (bytes: number): string => `{"${"x".repeat(bytes)}":1}`;
const [DEEP, WIDE] = ["malformed-request", "validation-failed"];

describe("a JSON text is let through up to its bounds, and refused beyond them:", () => {
  test.each<[what: string, most: string, oneMore: string, refusal: string | undefined]>([
    ["32 levels", nested(32), nested(33), DEEP],
    ["200 fields or items", list(200), list(201), WIDE],
    ["200 of an inner one", `{"a":${list(200)}}`, `{"a":${list(201)}}`, WIDE],
    ["a name of 256 bytes", named(256), named(257), WIDE],
    ["a name of 256 bytes, two each", `{"${"é".repeat(128)}":1}`, `{"${"é".repeat(129)}":1}`, WIDE],
    [
      "10,000 values",
      `[${Array(99).fill(list(100)).join(",")}]`,
      `[${Array(100).fill(list(100)).join(",")}]`,
      WIDE,
    ],
  ])("%s", (_, most, oneMore, refusal) => {
    expect([refusalOf(most), refusalOf(oneMore)]).toEqual([null, refusal]);
  });
});

test.each([
  ["what stands in a string", JSON.stringify({ title: `${"[".repeat(50)}${",".repeat(300)}` })],
  ["what stands behind an escaped quotation mark", JSON.stringify({ title: `"${"[".repeat(50)}` })],
  ["what stands behind an escaped backslash", `{"a":"\\\\","b":${list(200)}}`],
  ["levels that were closed", `[${Array(150).fill("[[]]").join(",")}]`],
  ["a long value", JSON.stringify({ title: "x".repeat(5000) })],
])("%s counts for nothing", (_, text) => {
  expect(refusalOf(text)).toBeNull();
});
