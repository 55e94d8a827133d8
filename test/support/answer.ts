/** Data from the wire: it has no type until a test asserts one. */
export type Wire = any;

export interface Answer {
  status: number;
  headers: Headers;
  body: Wire;
}

/** The body of a response as a client reads it: one of lines of JSON is an array of them. */
export function bodyOf(headers: Headers, text: string): Wire {
  const type = headers.get("content-type") ?? "";
  if (text === "") return null;
  if (type.includes("ndjson"))
    return text
      .trimEnd()
      .split("\n")
      .map((line): Wire => JSON.parse(line));
  return type.includes("json") ? JSON.parse(text) : text;
}
