/** The head of a response while its request is carried out: written at once, since Node checks and stores each field that is set alone. */

/** Header fields by their names as they are sent. */
export type Head = Record<string, string | string[]>;

/** Adds a name to `Vary`, which may have others. */
export function vary(head: Head, name: string): void {
  head.Vary = head.Vary === undefined ? name : `${String(head.Vary)}, ${name}`;
}
