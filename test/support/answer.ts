/** What came over the wire: a test asserts what it is. */
export type Wire = any;

export interface Answer {
  status: number;
  headers: Headers;
  body: Wire;
}
