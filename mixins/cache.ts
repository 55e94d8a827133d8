/**
 * A cache of answers: in Redis for all nodes, or in memory where one process is all there is.
 *
 * An answer depends on names: `task:<id>`, `user:<id>` for what a user may see, and so on. A write says which names it
 * outdates (`outdates` of its statement, mixins/database.ts). They are marked twice:
 *
 *     begin ── sent with the statement      no older answer is fresh, and none is kept that is read meanwhile
 *     commit
 *     end ──── sent after the commit        answers that are read from now on are fresh
 *
 * The write is answered once `begin` was confirmed. So a client whose write was answered reads what it wrote, through any
 * gateway. What may go wrong in between:
 *
 * - The node dies before or after the commit: `end` never comes. Nothing is kept of these names for WRITE_MS, by when
 *   Postgres has committed or not. A commit with an unknown outcome is left to that, too.
 * - The store forgets a mark, or is another one than before: cache-store.ts and cache-agreement.ts see to it.
 * - The store is away, or does not take a mark: the node suspends the cache of all nodes, and answers when they know.
 * - The node was frozen: a mark that is older than SAFE_MS is confirmed once more before the answer.
 *
 * Readers ask by one step (`find`), which also tells the clock that they keep their answer under. A reader that was frozen
 * keeps nothing.
 *
 * A write of one resource knows what the resource is now, and says it with its end (`shows`): answers that have it as a part,
 * such as the first page of a project, show the new text and stay.
 */
import type { Redis } from "ioredis";
import type { ServiceBroker } from "moleculer";
import type { Counter } from "prom-client";
import type { Part } from "../core/cached-answer.ts";
import type { Log } from "../core/log.ts";
import { metricsOf } from "../core/metrics.ts";
import { randomPart } from "../core/random.ts";
import { traced } from "../core/trace.ts";
import { type AgreementDatabase, CacheAgreement } from "./cache-agreement.ts";
import {
  type AnswerStore,
  type Found,
  type Kept,
  MemoryAnswers,
  type Question,
  RedisAnswers,
  WRITE_MS,
} from "./cache-store.ts";

/** Milliseconds that a reader waits for the store, and in which it does not ask again after a failure. */
const [FIND_MS, PAUSE_MS] = [100, 1000];
/** Milliseconds after which a reader keeps no answer, and after which a write's mark is confirmed once more. */
const SAFE_MS = WRITE_MS / 3;
/** Characters that an answer may have: a longer one costs more memory than it saves time. */
const MAX_ANSWER_LENGTH = 64_000;
/** Characters of a part that a write may bring: a page of the longest of them is not too long to be put together. */
const MAX_SHOWN_LENGTH = 4000;

/** A question to the cache that found no answer, for `keep`. */
export interface Missed {
  readonly question: Question;
  readonly epoch: string;
  readonly clock: number;
  /** By performance.now. */
  readonly at: number;
}

/** The marks of one write. */
export interface WriteMarks {
  /** The write is sent after it: the cache is suspended first, because nothing can be marked. Null as a rule. */
  readonly ready: Promise<void> | null;
  /**
   * After the commit.
   * @param shown what the part of one of the names is now
   * @returns when no node takes an older answer. Never throws
   */
  committed(shown?: Part): Promise<void>;
  /** The write was refused, and certainly changed nothing. */
  refused(): void;
}

const isDone = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    () => false,
  );

/** Fails after `ms`, and after what has arrived by then was read: a long turn of the event loop may have held it up. */
function within<Result>(ms: number, work: Promise<Result>): Promise<Result> {
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const late = (): void => reject(new Error("the cache did not answer in time"));
  const timer = setTimeout(() => setImmediate(late), ms);
  work.then(resolve, reject).finally(() => clearTimeout(timer));
  return promise;
}

export class AnswerCache {
  readonly #store: AnswerStore;
  readonly #agreement: CacheAgreement;
  readonly #counts: Record<"hits" | "misses", Counter<"kind">>;
  /** The node does not ask the store, which failed, before this time of performance.now. */
  #awayUntil = 0;
  #repliedAt = 0;

  constructor(
    store: AnswerStore,
    agreement: CacheAgreement,
    counts: Record<"hits" | "misses", Counter<"kind">>,
  ) {
    this.#store = store;
    this.#agreement = agreement;
    this.#counts = counts;
  }

  start(): Promise<void> {
    return this.#agreement.start();
  }

  stop(): void {
    this.#agreement.stop();
  }

  /**
   * The fresh answer to a question. Never throws.
   * @param kind what the answer is of, for metrics
   * @returns its text, or what `keep` takes; null while the cache is not in use
   */
  async find(kind: string, question: Question): Promise<string | Missed | null> {
    const epoch = this.#agreement.reading;
    const at = performance.now();
    if (epoch === null || at < this.#awayUntil) return null;
    let found: Found;
    try {
      found = await traced("cache", "client", {}, () => within(FIND_MS, this.#store.find(epoch, question)));
      this.#repliedAt = performance.now();
    } catch {
      // One slow reply among others is no outage.
      if (performance.now() - this.#repliedAt > PAUSE_MS) this.#awayUntil = performance.now() + PAUSE_MS;
      return null;
    }
    this.#counts["text" in found ? "hits" : "misses"].inc({ kind });
    return "text" in found ? found.text : { question, epoch, clock: found.clock, at };
  }

  /** Keeps an answer, in the background, unless it is outdated or too long. Never throws. */
  keep({ question, epoch, clock, at }: Missed, kept: Kept): void {
    const length = [kept, ...(kept.parts ?? [])].reduce((sum, { text }) => sum + text.length, 0);
    if (length > MAX_ANSWER_LENGTH || performance.now() - at > SAFE_MS) return;
    void isDone(this.#store.keep(epoch, question, clock, kept));
  }

  /** Begins to mark what a write outdates. The caller waits for `ready`, if there is one, and sends the write. */
  begin(outdated: readonly string[]): WriteMarks {
    const names = [...new Set(outdated)];
    const write = randomPart(9).toString("base64url");
    const at = performance.now();
    const agreement = this.#agreement;
    let epoch = agreement.writing;
    let begun: Promise<boolean> | null = null;
    const mark = (): void => {
      epoch = agreement.writing;
      if (epoch !== null) begun = isDone(this.#store.begin(epoch, names, write));
      else agreement.prolong();
    };
    const end = (within: string, shown?: Part): Promise<boolean> =>
      isDone(this.#store.end(within, names, write, shown));
    const ready = epoch !== null || agreement.isSuspended ? null : agreement.prepare().then(mark);
    if (ready === null) mark();
    return {
      ready,
      committed: (shown) =>
        traced("cache outdate", "client", { names: names.length }, async () => {
          const isBegun = await begun;
          await agreement.quiet();
          if (isBegun === true && agreement.writing === epoch && performance.now() - at < SAFE_MS)
            void end(
              epoch as string,
              shown !== undefined && shown.text.length <= MAX_SHOWN_LENGTH ? shown : undefined,
            );
          else if (!(await this.#ended(isBegun === false ? null : end))) await agreement.suspend();
        }),
      refused: () => void (epoch !== null && end(epoch)),
    };
  }

  /**
   * Marks names by their write's end alone, after its commit.
   * @param end null when the store did not take the beginning
   * @returns whether no node takes older answers now
   */
  async #ended(end: ((epoch: string) => Promise<boolean>) | null): Promise<boolean> {
    if (this.#agreement.writing === null && !this.#agreement.isSuspended) await this.#agreement.refresh();
    if (this.#agreement.isSuspended) {
      await this.#agreement.quiet();
      return true;
    }
    const epoch = this.#agreement.writing;
    return epoch !== null && end !== null && (await end(epoch));
  }
}

/** The store of a node: what its cacher connects to (moleculer.config.ts); null where nodes have none to agree by. */
function storeOf({ cacher, namespace }: ServiceBroker): AnswerStore | null {
  if (cacher == null) return null;
  const { client } = cacher as unknown as { client?: Redis };
  return client === undefined ? new MemoryAnswers() : new RedisAnswers(client, `TW-${namespace}`);
}

/** The cache of a node; null where nothing is cached. */
export function openCache(
  broker: ServiceBroker,
  db: AgreementDatabase,
  log: Log<"warn">,
): AnswerCache | null {
  const store = storeOf(broker);
  if (store === null) return null;
  const metrics = metricsOf(broker);
  const counter = (name: string, help: string) => metrics.counter(name, help, ["kind"]);
  const agreement = new CacheAgreement(db, store, log);
  metrics.gauge("taskwire_cache_in_use", "1 while this node takes answers from the cache", [], () =>
    agreement.reading === null ? 0 : 1,
  );
  return new AnswerCache(store, agreement, {
    hits: counter("taskwire_cache_hits_total", "Answers that were found in the cache"),
    misses: counter("taskwire_cache_misses_total", "Answers that were not found, or outdated"),
  });
}
