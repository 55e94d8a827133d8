import type { ValidationRuleObject } from "fastest-validator";

/** What a caller may ask of a list (contract.md §1, Lists). */
export interface PageParams {
  limit?: number;
  offset?: number;
}

/** The same after validation, which fills in the defaults. */
export type PageOf = Required<PageParams>;

export interface Page<Item> {
  items: Item[];
  limit: number;
  offset: number;
  total: number;
}

export const pageRules = {
  limit: { type: "number", integer: true, min: 1, max: 100, default: 20, convert: true },
  offset: { type: "number", integer: true, min: 0, max: 1_000_000_000, default: 0, convert: true },
} satisfies Record<keyof PageParams, ValidationRuleObject>;

/**
 * A page out of the rows of `SELECT page.*, total FROM (SELECT count(*) …) LEFT JOIN page`: one query tells the items
 * and the total, also past the end, where the one row has a total and nothing else.
 */
export function pageOf<Item extends { id: string }>(
  rows: (Item & { total: number })[],
  { limit, offset }: PageOf,
): Page<Item> {
  const items = rows
    .filter(({ id }) => (id as string | null) !== null)
    .map(({ total: _total, ...item }) => item as unknown as Item);
  return { items, limit, offset, total: rows[0]?.total ?? 0 };
}
