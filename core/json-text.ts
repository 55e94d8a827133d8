/** An action's result that travels as the JSON text which its client gets: made once, and parsed by nobody on its way. */

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
}

/** Whether a result is a text. */
export const isJsonText = (result: unknown): result is JsonText =>
  typeof (result as { $json?: unknown } | null)?.$json === "string";
