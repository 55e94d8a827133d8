import type { CheckerFunctionError, Context, ValidationRuleObject } from "fastest-validator";
import { wholeNumber } from "./rules.ts";

type CheckErrors = CheckerFunctionError[];

/** The most rows that a total counts and that an offset skips; a cursor reaches the rows beyond. */
export const COUNTED_ROWS = 10_000;

/** The params of every list (docs/reference.md, Lists). */
export interface PageParams {
  limit?: number;
  offset?: number;
  /** `next_cursor` of the previous page; "" begins at the first row, without counting. */
  cursor?: string;
  /** `-created_at,priority` */
  sort?: string;
}

/** The params of a list after validation, which fills in the limit. */
export type PageOf = PageParams & { limit: number };

export interface Page<Item> {
  items: Item[];
  limit: number;
  /** Null at the end. */
  next_cursor: string | null;
  /** Present, like `total`, when the page was requested by offset. */
  offset?: number;
  total?: number;
  /** True when there are more rows than `total`. */
  total_capped?: boolean;
}

/** `-created_at,priority` to its keys, in order. */
export const parseSort = (sort: string): { key: string; descending: boolean }[] =>
  sort.split(",").map((term) => ({ key: term.replace(/^-/, ""), descending: term.startsWith("-") }));

const wholeOffset = wholeNumber({ min: 0, max: COUNTED_ROWS, optional: true });
const offsetRule = {
  ...wholeOffset,
  description: "The number of items to skip. Not together with `cursor`.",
  messages: {
    ...wholeOffset.messages,
    numberMax: `The 'offset' field must be at most ${COUNTED_ROWS}: beyond that go on by 'cursor'.`,
  },
};

/** Rules for `PageParams`. `sorts`: the keys that this list can be ordered by. */
export const pageRules = (...sorts: string[]) =>
  ({
    limit: {
      ...wholeNumber({ min: 1, max: 100, default: 20 }),
      description: "The maximum number of items on the page.",
    },
    offset: offsetRule,
    cursor: {
      type: "string",
      description:
        "Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed.",
      optional: true,
      max: 4000,
      messages: { exclusive: "Give either offset or cursor." },
      custom: (
        value: unknown,
        errors: CheckErrors,
        _rule: ValidationRuleObject,
        _path: string,
        _parent: object | null,
        { data }: Context,
      ) => {
        if (value !== undefined && (data as PageParams).offset !== undefined)
          errors.push({ type: "exclusive" });
        return value;
      },
    },
    sort: {
      type: "string",
      description: "The sort keys, the most important one first; `-` sorts in descending order.",
      optional: true,
      /** For the OpenAPI document. */
      terms: sorts.flatMap((key) => [key, `-${key}`]),
      messages: {
        sort: `The 'sort' field takes ${sorts.join(", ")}, each once, separated by commas, with - before those that descend.`,
      },
      custom: (value: unknown, errors: CheckErrors) => {
        if (typeof value !== "string") return value;
        const keys = parseSort(value).map(({ key }) => key);
        if (new Set(keys).size < keys.length || !keys.every((key) => sorts.includes(key)))
          errors.push({ type: "sort" });
        return value;
      },
    },
  }) satisfies Record<keyof PageParams, ValidationRuleObject>;
