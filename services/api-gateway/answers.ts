/**
 * Results of reads out of the cache (mixins/cache.ts): a hit costs one question to the cache, and no call. What all who may
 * see it get alike is kept once for all of them, and each caller's right to it apart, by what a service has answered to
 * this very caller. Other results are kept for their caller alone.
 */
import type { CachedAnswer } from "../../core/cached-answer.ts";
import { isJsonText, type JsonText } from "../../core/json-text.ts";
import type { Actor, Meta } from "../../core/kit.ts";
import type { AnswerCache, Missed } from "../../mixins/cache.ts";
import type { Kept } from "../../mixins/cache-store.ts";

/** Characters of params whose answer is cached: long ones are a search that nobody repeats. */
const MAX_PARAMS_LENGTH = 500;

/** The parts of a request that its result depends on. */
interface Read {
  readonly ctx: { readonly meta: Meta };
  readonly route: {
    readonly action: string;
    readonly cached?: CachedAnswer;
    readonly versioned?: boolean | undefined;
  };
  readonly params: Readonly<Record<string, unknown>>;
}

/** Names the caller, with the role. A token that is limited to some projects sees less than its owner. */
const viewerOf = ({ id, role, projects, session }: Actor): string =>
  projects === undefined ? `${role}:${id}` : `${role}:${id}:${session}`;

/** The version of a document, which changes with a part of it. In a string of the text a backslash is before such a quote. */
const VERSION = /"version":(\d+)/;

/** The result to keep: the fields beside the text come first, in a line; parts of the text are kept by themselves. */
function keptOf({ $json, about, version, ...fields }: JsonText): Pick<Kept, "text" | "parts"> {
  const places = about?.parts ?? [];
  const line = JSON.stringify(places.length === 0 ? { version, ...fields } : fields);
  let [text, last] = [`${line}\n`, 0];
  const parts = places.map(([name, from, to]) => {
    text += $json.slice(last, from);
    last = to;
    return { name, text: $json.slice(from, to), at: text.length };
  });
  return { text: text + $json.slice(last), parts };
}

function resultOf(text: string, { versioned }: Read["route"]): JsonText {
  const end = text.indexOf("\n");
  const [$json, fields] = [text.slice(end + 1), JSON.parse(text.slice(0, end)) as Omit<JsonText, "$json">];
  if (versioned !== true || fields.version !== undefined) return { ...fields, $json };
  return { ...fields, version: Number(VERSION.exec($json)?.[1]), $json };
}

/** The cached results of one gateway. */
export class Answers {
  readonly #cache: AnswerCache | null;
  readonly #missed = new WeakMap<Read, Missed>();

  /** @param cache null where nothing is cached */
  constructor(cache: AnswerCache | null) {
    this.#cache = cache;
  }

  /** The result for a request that has passed all steps; null when the action must make it. Never throws. */
  async find(exchange: Read): Promise<JsonText | null> {
    const { ctx, route, params } = exchange;
    const { cached } = route;
    const { actor } = ctx.meta;
    if (this.#cache === null || cached === undefined || actor == null) return null;
    const [names, asked] = [cached.names(params, actor), JSON.stringify(params)];
    if (names === null || asked.length > MAX_PARAMS_LENGTH) return null;
    const viewer = viewerOf(actor);
    const key = `${route.action} ${cached.isShared(params) ? "" : viewer} ${asked}`;
    const found = await this.#cache.find(route.action, { key, viewer, user: `user:${actor.id}`, names });
    if (typeof found === "string") return resultOf(found, route);
    if (found !== null) this.#missed.set(exchange, found);
    return null;
  }

  /** Keeps the result of an action, in the background. */
  keep(exchange: Read, result: unknown): void {
    const missed = this.#missed.get(exchange);
    if (missed === undefined || !isJsonText(result) || result.about === undefined) return;
    const isShared = exchange.route.cached?.isShared(exchange.params) === true;
    const { names, realm } = result.about;
    const kept = { names, ...keptOf(result) };
    if (!isShared) this.#cache?.keep(missed, kept);
    else if (realm !== undefined) this.#cache?.keep(missed, { ...kept, realm });
  }
}
