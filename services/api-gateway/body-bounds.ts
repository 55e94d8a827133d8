/**
 * Bounds of a JSON body, checked on its bytes. To parse a megabyte of names takes longer than the rest of the request, so
 * the gateway refuses a body that no action could want before it is parsed.
 */
import { Problem } from "../../core/errors.ts";
import { invalid, unknownField } from "./problem.ts";

/** Levels of objects and arrays: code that walks deeper ones could overflow the stack. */
const MAX_DEPTH = 32;
/** Fields of one object, or items of one array. */
const MAX_FIELDS = 200;
/** Values in the whole body: a bulk of 100 operations has about 1,000. */
const MAX_VALUES = 10_000;
/** Bytes of a field's name, or characters of a parameter's: every known name is shorter. */
export const MAX_NAME_LENGTH = 256;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);
const STRUCTURE = new Uint8Array(256);
for (const byte of [QUOTE, COMMA, COLON, ...OPEN, ...CLOSE]) STRUCTURE[byte] = 1;

const tooMany = (message: string): Problem => invalid([{ pointer: "#", code: "tooMany", message }]);

/** The index of the closing quotation mark of the string whose content begins at `from`; without one, the text's length. */
function endOfString(text: Uint8Array, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== QUOTE) at += text[at] === BACKSLASH ? 2 : 1;
  return at;
}

/**
 * Checks the bounds alone: text that is not JSON is left to the parser, which explains it better.
 * @throws Problem malformed-request for too many levels; validation-failed for too many fields or too long a name
 */
export function mustBeBounded(text: Buffer, maxFields = MAX_FIELDS): void {
  const fields: number[] = [];
  let values = 0;
  let name = { from: 0, to: 0 };
  for (let at = 0; at < text.length; at++) {
    const byte = text[at] as number;
    if (STRUCTURE[byte] === 0) continue;
    if (byte === QUOTE) {
      const end = endOfString(text, at + 1);
      name = { from: at + 1, to: end };
      at = end;
    } else if (byte === COLON) {
      // The path to the name is not known here, so the pointer is that of the body.
      if (name.to - name.from > MAX_NAME_LENGTH)
        throw invalid([unknownField("#", text.toString("utf8", name.from, name.from + MAX_NAME_LENGTH))]);
    } else if (CLOSE.has(byte)) fields.pop();
    else {
      if (OPEN.has(byte)) fields.push(1);
      else if (fields.length > 0) fields[fields.length - 1] = (fields.at(-1) as number) + 1;
      values += 1;
      if (fields.length > MAX_DEPTH)
        throw new Problem("malformed-request", `The body is nested deeper than ${MAX_DEPTH} levels`);
      if ((fields.at(-1) ?? 0) > maxFields)
        throw tooMany(`An object or an array can have at most ${maxFields} entries.`);
      if (values > MAX_VALUES) throw tooMany(`A body can have at most ${MAX_VALUES} values.`);
    }
  }
}
