/**
 * What all nodes agree on about cached answers: a row of Postgres, which each node reads every POLL_MS.
 *
 * - `store`: the Redis, or the process, that holds the answers. A node whose own store is another one takes none. So a
 *   failover of Redis, a Redis that came back with an old file, and a second lone process void all older answers.
 * - `epoch`: part of every key. A new one voids all older answers.
 * - `suspended_until`: nobody takes an answer before. A node that can't mark what it wrote suspends the cache.
 *
 * Readers trust what they read for READER_LEASE_MS and writers for WRITER_LEASE_MS; a new epoch begins suspended, and for
 * longer than that. So a suspension is in force everywhere READER_LEASE_MS after it was written, and a writer knows the
 * epoch by the time when readers use it. All of it holds while Redis, NATS and other nodes do what they like.
 */
import type { Log } from "../core/log.ts";
import type { AnswerStore } from "./cache-store.ts";

/** Milliseconds between two reads of the row. */
const POLL_MS = 300;
/** Milliseconds for which a node takes answers, and marks, by what it read last. */
const [READER_LEASE_MS, WRITER_LEASE_MS] = [1000, 4000];
/** Milliseconds that a new epoch begins suspended: more than WRITER_LEASE_MS. */
const [TAKEOVER_MS, SUSPENSION_MS] = [5000, 10_000];
/** Milliseconds before its end in which a suspension that is still needed is prolonged. */
const RENEW_MS = 4000;

/** The part of the database (mixins/database.ts) that the agreement needs. */
export interface AgreementDatabase {
  query<Row extends object>(statement: {
    name: string;
    text: string;
    values?: unknown[];
    write?: boolean;
  }): Promise<Row[]>;
  /** How many connections were lost. */
  readonly interruptions: number;
}

interface Standing {
  store: string;
  epoch: string;
  /** Times of performance.now. */
  readAt: number;
  /** The end of the suspension lies between these two: Postgres' answer took a while. */
  endsAfter: number;
  endsBefore: number;
}

interface Row {
  store: string;
  epoch: string;
  /** Milliseconds that the suspension has left. */
  ms: number;
}

const COLUMNS = `store, epoch, greatest(0, extract(epoch FROM suspended_until - clock_timestamp()) * 1000)::float8 AS ms`;
const SUSPEND = (ms: string): string =>
  `epoch = gen_random_uuid(), suspended_until = greatest(c.suspended_until, clock_timestamp() + ${ms} * interval '1 ms')`;

export class CacheAgreement {
  readonly #db: AgreementDatabase;
  readonly #store: AnswerStore;
  readonly #log: Log<"warn">;
  #standing: Standing | null = null;
  /** The store that this node has made, or tried to make, everybody's: once for each that it connects to. */
  #claimed: string | null = null;
  #interruptions: number;
  #reading: Promise<void> | null = null;
  /** The time from which on no node takes an older answer, by the suspension in force. */
  #quietFrom = 0;
  #suspending: Promise<void> | null = null;
  /** This node has suspended the cache, and can't reach its store since then: no further write shall have to wait. */
  #keepsSuspended = false;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(db: AgreementDatabase, store: AnswerStore, log: Log<"warn">) {
    this.#db = db;
    this.#store = store;
    this.#log = log;
    this.#interruptions = db.interruptions;
  }

  /** Reads the row now and from now on. @returns when the first read has ended, even if it failed */
  async start(): Promise<void> {
    let isAway = false;
    const poll = async (): Promise<void> => {
      try {
        await this.#read();
        isAway = false;
      } catch (error) {
        if (!isAway && !this.#isStopped)
          this.#log.warn(`answers are not cached: ${(error as Error).message}`);
        isAway = true;
      }
      if (!this.#isStopped) this.#timer = setTimeout(() => void poll(), POLL_MS).unref();
    };
    await this.#store.identified();
    await poll();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** The epoch whose answers this node may take; null for none. */
  get reading(): string | null {
    const standing = this.#current(READER_LEASE_MS);
    return standing !== null && performance.now() >= standing.endsBefore ? standing.epoch : null;
  }

  /** The epoch in which this node marks what it writes; null when it knows of none that holds everywhere. */
  get writing(): string | null {
    return this.#current(WRITER_LEASE_MS)?.epoch ?? null;
  }

  /** Whether what was committed until now needs no mark. */
  get isSuspended(): boolean {
    return this.#standing !== null && performance.now() < this.#standing.endsAfter;
  }

  /** Before a write that can't be marked: finds the epoch, or else suspends the cache. Never throws. */
  async prepare(): Promise<void> {
    await this.refresh();
    if (this.writing === null && !this.isSuspended) await this.#suspend();
  }

  /** Reads the row once more. Never throws. */
  async refresh(): Promise<void> {
    await this.#store.identified();
    await this.#reading?.catch(() => {});
    await this.#read().catch(() => {});
  }

  /** Prolongs a suspension that ends soon, while this node can't reach its store. */
  prolong(): void {
    if (this.#store.id !== null) return;
    if (this.#standing !== null && this.#standing.endsAfter - performance.now() < RENEW_MS)
      void this.#suspend();
  }

  /** Voids all answers. @returns when no node takes them any more. Never throws */
  async suspend(): Promise<void> {
    await this.#suspend();
    await this.quiet();
  }

  /** Waits until every node knows of the suspension in force. */
  async quiet(): Promise<void> {
    const left = this.#quietFrom - performance.now();
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
  }

  #current(leaseMs: number): Standing | null {
    const standing = this.#standing;
    if (standing === null || standing.store !== this.#store.id) return null;
    return performance.now() - standing.readAt < leaseMs ? standing : null;
  }

  #suspend(): Promise<void> {
    this.#keepsSuspended = true;
    this.#suspending ??= this.#write(SUSPENSION_MS)
      .catch((error: unknown) => {
        // Postgres took the write a moment ago, so this is rare. Nodes that can't read the row take no answers either.
        this.#log.warn("the cache could not be suspended", error);
        this.#quietFrom = performance.now() + READER_LEASE_MS;
      })
      .finally(() => (this.#suspending = null));
    return this.#suspending;
  }

  /** Begins an epoch, which is suspended at first. */
  async #write(suspendedMs: number): Promise<void> {
    const began = performance.now();
    const [row] = await this.#db.query<Row>({
      name: "cache-suspend",
      write: true,
      text: `INSERT INTO events.cache AS c (store) VALUES ('')
             ON CONFLICT (one) DO UPDATE SET ${SUSPEND("$1")} RETURNING ${COLUMNS}`,
      values: [suspendedMs],
    });
    this.#take(row as Row, began);
  }

  #read(): Promise<void> {
    this.#reading ??= this.#readOnce().finally(() => (this.#reading = null));
    return this.#reading;
  }

  async #readOnce(): Promise<void> {
    const { interruptions } = this.#db;
    const began = performance.now();
    const [row] = await this.#db.query<Row>({
      name: "cache-standing",
      text: `SELECT ${COLUMNS} FROM events.cache`,
    });
    if (row !== undefined) this.#take(row, began);
    // A restore or a failover that lost its end comes with broken connections: answers may tell of what is no more.
    if (interruptions !== this.#interruptions) {
      await this.#write(TAKEOVER_MS);
      this.#interruptions = interruptions;
    }
    const { id } = this.#store;
    if (id !== null) this.#keepsSuspended = false;
    else if (this.#keepsSuspended) this.prolong();
    if (id !== null && id !== this.#claimed && id !== row?.store) await this.#claim(id, row?.store ?? "");
  }

  /** Makes this node's store everybody's, unless another node was faster. The first of all has nobody to wait for. */
  async #claim(id: string, before: string): Promise<void> {
    const began = performance.now();
    const [row] = await this.#db.query<Row>({
      name: "cache-claim",
      write: true,
      text: `INSERT INTO events.cache AS c (store) VALUES ($1)
             ON CONFLICT (one) DO UPDATE SET store = excluded.store, ${SUSPEND("$3")} WHERE c.store = $2
             RETURNING ${COLUMNS}`,
      values: [id, before, TAKEOVER_MS],
    });
    this.#claimed = id;
    if (row !== undefined) this.#take(row, began);
  }

  #take({ store, epoch, ms }: Row, began: number): void {
    const isSuspended = ms > 0;
    const now = performance.now();
    // Others may take answers by what they read just before it began.
    if (isSuspended && now >= (this.#standing?.endsAfter ?? 0)) this.#quietFrom = now + READER_LEASE_MS;
    this.#standing = {
      store,
      epoch,
      readAt: began,
      endsAfter: isSuspended ? began + ms : 0,
      endsBefore: isSuspended ? now + ms : 0,
    };
  }
}
