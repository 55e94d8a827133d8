import { type About, type JsonText, jsonText } from "./json-text.ts";
import type { Actor } from "./kit.ts";

export type Params = Readonly<Record<string, unknown>>;

/**
 * A text that several answers show: the fields of an object, without its braces. Its name is outdated when it changes. One
 * without a name is the caller's own, and changes with the caller's rights.
 */
export interface Part {
  readonly name: string;
  readonly text: string;
}

/**
 * A read whose answers gateways cache (mixins/cache.ts). An answer depends on names; the writes that change what it shows
 * say that they outdate them (`outdates` of events and statements).
 */
export interface CachedAnswer<Result extends object = object> {
  /** The names that are known before the answer is read; null for params whose answers are not cached. */
  names(params: Params, actor: Actor): string[] | null;
  /** Whether all who may see the answer get the same one. */
  isShared(params: Params): boolean;
  /** What the answer itself tells; null for an answer that is not kept. */
  about(result: Result, params: Params, actor: Actor): Omit<About, "parts"> | null;
  /** Parts of the answer's text, in their order, that other answers show as well. */
  parts?(result: Result, params: Params): Part[];
}

/** Where the parts are in a text. */
function placesOf(text: string, parts: Part[]): NonNullable<About["parts"]> {
  let last = 0;
  return parts.map((part) => {
    const from = text.indexOf(part.text, last);
    last = from + part.text.length;
    return [part.name, from, last];
  });
}

/** An action's result as a text, with what the gateway must know to keep it. */
export function cachedText<Result extends object>(
  cached: CachedAnswer<Result>,
  params: object,
  actor: Actor,
  result: Result,
): JsonText {
  const isCached = cached.names(params as Params, actor) !== null;
  const about = isCached ? cached.about(result, params as Params, actor) : null;
  const answer = jsonText(result);
  if (about === null) return answer;
  const parts = placesOf(answer.$json, cached.parts?.(result, params as Params) ?? []);
  return { ...answer, about: { ...about, ...(parts.length > 0 && { parts }) } };
}

/** Whether params ask for the first page of a list: the one that is asked for often. */
export const isFirstPage = ({ cursor, offset }: Params): boolean =>
  (cursor === undefined || cursor === "") && (offset === undefined || Number(offset) === 0);

/** Whether a filter is left out, or is `false`. */
export const isOff = (filter: unknown): boolean =>
  filter === undefined || filter === false || filter === "false";
