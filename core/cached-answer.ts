import { type About, type JsonText, jsonText } from "./json-text.ts";
import type { Actor } from "./kit.ts";

export type Params = Readonly<Record<string, unknown>>;

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
  about(result: Result, params: Params, actor: Actor): About | null;
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
  return about === null ? jsonText(result) : { ...jsonText(result), about };
}

/** Whether params ask for the first page of a list: the one that is asked for often. */
export const isFirstPage = ({ cursor, offset }: Params): boolean =>
  (cursor === undefined || cursor === "") && (offset === undefined || Number(offset) === 0);

/** Whether a filter is left out, or is `false`. */
export const isOff = (filter: unknown): boolean =>
  filter === undefined || filter === false || filter === "false";
