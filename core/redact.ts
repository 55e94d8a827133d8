/** What must not leave the process in a log line or an error report: secrets, and what people wrote or are called. */

/** Values of these keys, in any object: credentials, and the fields of people and of their texts. */
const SECRET_KEYS =
  /pass|token|secret|authorization|cookie|e-?mail|^(login|username|name|display_name|title|description|text|content|slug|subject|to|link|url|q|search|body|params|payload|query|values|parameters|detail|actual|packet|meta)$/i;

/** Words inside of a text: e-mail addresses, credentials of a URL, `Bearer …`, and random texts of 40 characters or more. */
const URL_CREDENTIALS = /(?<=\w:\/\/)[^\s/@]+(?=@)/g;
const EMAIL = /[^\s@"'<>()=,;:/]{1,254}@[^\s@"'<>(),;:/]{1,254}\.[^\s@"'<>(),;:/]{1,254}/g;
const BEARER = /(?<=\b(?:Bearer|Basic)\s+)\S+/gi;
const LONG_SECRET = /[\w-]{40,}(?:\.[\w-]+)*/g;

/** Characters of a text that are logged. */
const MAX_TEXT = 10_000;
/** What one of the expressions above may match: most texts are done after this one. */
const SUSPECT = /@|\b(?:Bearer|Basic)\s|[\w-]{40}/i;

/** A text without secrets and addresses. Long texts are cut. */
export const redactText = (text: string): string =>
  text.length < MAX_TEXT && !SUSPECT.test(text) ? text : redactSuspect(text);

const redactSuspect = (text: string): string =>
  text
    .slice(0, MAX_TEXT)
    .replace(URL_CREDENTIALS, "[redacted]")
    .replace(EMAIL, "[redacted]")
    .replace(BEARER, "[redacted]")
    .replace(LONG_SECRET, "[redacted]");

/** How deep and how wide an object is logged. */
const [MAX_DEPTH, MAX_ENTRIES] = [3, 20];

/**
 * Fields of a line that is written often, and that are logged as they are: numbers, ids, and words of the code. Nothing in
 * them is a text that somebody wrote.
 */
export class OwnFields {
  constructor(fields: Record<string, string | number | boolean | undefined>) {
    Object.assign(this, fields);
  }
}

/** A value without secrets: texts are redacted, and the values of telling keys left out. */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return redactText(value);
  if (value === null || typeof value === "number" || typeof value === "boolean" || value === undefined)
    return value;
  if (value instanceof Error) return safeError(value);
  if (value instanceof OwnFields) return value;
  if (typeof value !== "object") return typeof value;
  if (depth >= MAX_DEPTH) return "…";
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => redactValue(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, MAX_ENTRIES)
      .map(([key, item]) => [
        key,
        SECRET_KEYS.test(key) && item !== null ? "[redacted]" : redactValue(item, depth + 1),
      ]),
  );
}

/** An error as it may be logged and reported. */
export interface SafeError {
  type: string;
  message: string;
  stack: string;
  code?: string | number;
  constraint?: string;
  cause?: SafeError;
}

/** SQLSTATEs of class 22 quote the value that Postgres could not read; JSON's parser quotes the text. */
const quotes = ({ name, code }: Error & { code?: unknown }): boolean =>
  name === "SyntaxError" || (typeof code === "string" && /^22/.test(code));

/** An error's own words: its kind, message, stack and codes. What libraries add (rows, requests, configuration) stays out. */
export function safeError(error: Error, depth = 0): SafeError {
  const {
    name,
    message,
    stack = "",
    code,
    constraint,
    cause,
  } = error as Error & {
    code?: unknown;
    constraint?: unknown;
  };
  const safe = (text: string): string =>
    redactText(quotes(error) ? text.replaceAll(message, message.replace(/(["'`]).*\1/gs, "$1…$1")) : text);
  return {
    type: name,
    message: safe(message),
    stack: safe(stack),
    ...((typeof code === "string" || typeof code === "number") && { code }),
    ...(typeof constraint === "string" && { constraint }),
    ...(cause instanceof Error && depth < MAX_DEPTH && { cause: safeError(cause, depth + 1) }),
  };
}
