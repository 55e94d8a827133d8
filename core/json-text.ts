/** An action's result that travels as the JSON text which its client gets: made once, and parsed by nobody on its way. */

/** What an answer depends on beside the names that were known before. */
export interface About {
  readonly names: readonly string[];
  /**
   * Of a shared answer: who may see it may see all that bears this name, which is marked when that ends for everybody. The
   * mark `user:<id>` says when it ends for one.
   */
  readonly realm?: string;
  /** Parts of the text that other answers show, too: the name of each, and where it begins and ends. */
  readonly parts?: readonly (readonly [name: string, from: number, to: number])[];
}

/**
 * The text, and beside it the few fields of the document that the gateway reads, under their names in the document. The
 * text of a page has no `next_cursor`: the gateway signs the one beside it, and adds it.
 */
export interface JsonText {
  readonly $json: string;
  readonly id?: string;
  readonly user_id?: string;
  readonly version?: number;
  readonly updated_at?: string;
  /** Where the next page begins; null for the last page. */
  readonly next_cursor?: string | null;
  /** What a cached answer depends on. */
  readonly about?: About;
}

/** Whether a result is a text. */
export const isJsonText = (result: unknown): result is JsonText =>
  typeof (result as { $json?: unknown } | null)?.$json === "string";

/** A document as its text: a page, or a resource with a version. */
export function jsonText(document: object): JsonText {
  const { next_cursor, ...rest } = document as { next_cursor?: string | null; version?: number };
  if (next_cursor !== undefined) return { $json: JSON.stringify(rest), next_cursor };
  return { $json: JSON.stringify(document), ...(rest.version !== undefined && { version: rest.version }) };
}
