/** How bench/growth.ts measures reads and writes, and prints what it measured. */
import pg from "pg";
import type { Queryable, Statement } from "../mixins/database.ts";
import { percentile } from "./system.ts";

/** Each read runs until it ran so often, or for so long. */
const [RUNS, RUNS_MS] = [30, 1500];
const [WRITES, WARM_UP] = [200, 20];
/** A node gives up sooner. */
export const TIMEOUT_MS = 10_000;

export interface Figure {
  /** Milliseconds. */
  p50: number;
  p95: number;
  /** Buffers of a read, bytes of WAL of a write. */
  cost: number;
}

const figure = (times: number[], cost: number): Figure => ({
  p50: percentile(times, 0.5),
  p95: percentile(times, 0.95),
  cost,
});

interface Touched {
  "Shared Hit Blocks": number;
  "Shared Read Blocks": number;
}

export class Meter {
  readonly #client: pg.Client;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  /** Measures a read, also one that changes rows: each is rolled back. @returns null when it takes longer than TIMEOUT_MS */
  async read(read: (on: Queryable) => Promise<unknown>): Promise<Figure | null> {
    const times: number[] = [];
    const db: Queryable = {
      query: async <Row extends object>({ slow: _slow, by: _by, write: _write, ...statement }: Statement) =>
        (await this.#client.query<Row>(statement)).rows,
    };
    try {
      await this.#inVain(() => read(db));
      for (const began = performance.now(); times.length < RUNS && performance.now() - began < RUNS_MS;)
        await this.#inVain(async () => {
          const start = performance.now();
          await read(db);
          times.push(performance.now() - start);
        });
      return figure(times, await this.#buffersOf(read));
    } catch (error) {
      if ((error as { code?: string }).code === "57014") return null;
      throw error;
    }
  }

  /** Measures a write, which gets its number. */
  async write(write: (nth: number) => Promise<unknown>): Promise<Figure> {
    const times: number[] = [];
    for (let nth = 0; nth < WARM_UP; nth++) await write(nth);
    const before = await this.#walPosition();
    for (let nth = 0; nth < WRITES; nth++) {
      const start = performance.now();
      await write(WARM_UP + nth);
      times.push(performance.now() - start);
    }
    return figure(times, ((await this.#walPosition()) - before) / WRITES);
  }

  /** The buffers that the statements of a read touch. They return nothing, and what the read makes of that does not matter. */
  async #buffersOf(read: (on: Queryable) => Promise<unknown>): Promise<number> {
    let buffers = 0;
    const db: Queryable = {
      query: async ({ text, values = [] }) => {
        const { rows } = await this.#client.query<{ "QUERY PLAN": [{ Plan: Touched }] }>(
          `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ${text}`,
          values,
        );
        const plan = rows[0]?.["QUERY PLAN"][0].Plan as Touched;
        buffers += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
        return [];
      },
    };
    await this.#inVain(() =>
      read(db).catch((error: unknown) => {
        if (error instanceof pg.DatabaseError) throw error;
      }),
    );
    return buffers;
  }

  async #inVain<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.#client.query("BEGIN");
    try {
      return await work();
    } finally {
      await this.#client.query("ROLLBACK");
    }
  }

  async #walPosition(): Promise<number> {
    const { rows } = await this.#client.query<{ at: string }>(
      "SELECT pg_current_wal_insert_lsn() - '0/0' AS at",
    );
    return Number(rows[0]?.at);
  }
}

const cellOf = (of: Figure | null | undefined): string =>
  of == null
    ? `> ${TIMEOUT_MS / 1000} s`
    : `${of.p50.toFixed(1)} / ${of.p95.toFixed(1)} / ${Math.round(of.cost).toLocaleString("en")}`;

/**
 * Prints a line for each name: its figure at each size, and the ratios of the last one to the first.
 * @param columns a figure for each name, for each of `sizes`
 */
export function printFigures(
  title: string,
  names: string[],
  sizes: number[],
  columns: (Figure | null)[][],
): void {
  const line = ([name = "", ...cells]: string[]): string =>
    name.padEnd(36) + cells.map((text, n) => text.padStart(n < sizes.length ? 24 : 9)).join("");
  console.log(`\n${title}`);
  console.log(line(["", ...sizes.map((size) => size.toLocaleString("en")), "× p50", "× cost"]));
  for (const [row, name] of names.entries()) {
    const [first, last] = [columns[0]?.[row], columns.at(-1)?.[row]];
    const ratio = (of: "p50" | "cost"): string =>
      first == null || last == null ? "–" : (last[of] / Math.max(first[of], 1e-3)).toFixed(1);
    console.log(line([name, ...columns.map((figures) => cellOf(figures[row])), ratio("p50"), ratio("cost")]));
  }
}
