/** Data from the wire: it has no type until a test asserts one. */
export type Wire = any;

export interface Answer {
  status: number;
  headers: Headers;
  body: Wire;
}
