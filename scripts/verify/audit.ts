/** What the checks of `npm run verify` share: reads, the faults that they find, and how far they are. */
import pg from "pg";
import { explain } from "../../core/explain.ts";
import { types } from "../../mixins/database.ts";

/** Milliseconds that one statement may take; each reads a bounded page. */
const STATEMENT_MS = 30_000;
/**
 * Each statement reads a page by indexes. Statistics that are older than the rows (after a restore, in a young database)
 * would have Postgres read whole tables for it, or compile it.
 */
const PLANS = "-c enable_seqscan=off -c jit=off";
/** Faults of a kind that are named; the others are counted. */
export const NAMED = 20;

/** The kinds of faults, each with what an operator does next. */
export const ADVICE = {
  "hole in a stream":
    "Only the retention deletes events, from a stream's first one on. Find what else writes to events.log, and restore the events from a backup: a client can't see that they are missing.",
  "wrong head of a stream":
    "A reader is anchored at the head. Stop the nodes, and set head and last_id of the stream's row in events.streams to the last event in events.log.",
  "doubled event": "Clients take the second one for another event. Find what writes to events.log.",
  "events without a stream": "Their project was removed or renamed by hand. Delete them from events.log.",
  "stream without an owner": "Its project or user was removed by hand. Delete its events, then its row.",
  "project differs from its events":
    "Somebody wrote to projects.projects by hand, or events are missing. Change the project once through the API: the event carries all fields.",
  "membership differs from its events":
    "Somebody wrote to projects.members by hand, or events are missing. Notifiers go by the row. Set the member's role, or remove and add the member, through the API.",
  "project without an owner": "Make a member owner through the API, as an admin.",
  "project without a stream":
    "Its events are lost. Its next write begins a stream, with numbers that clients had before.",
  "task differs from its events":
    "Somebody wrote to tasks.tasks by hand, or events are missing. Change the task once through the API: the event carries all fields.",
  "task is gone":
    "The log says that it lives. Restore its row from a backup, or tell its users: clients show it.",
  "comment differs from its events":
    "Somebody wrote to tasks.comments by hand, or events are missing. Its author can edit or delete it through the API.",
  "comment is gone": "The log says that it lives. Restore its row from a backup.",
  "dangling reference":
    "A row refers to one that is not there, though a foreign key forbids it. Restore the missing row from a backup, or delete the row that names it.",
  "missing constraint":
    "The schema lost what keeps rows unique or whole. Add it again as migrations/schema.sql has it; Postgres names the rows that violate it.",
  "overdue job": "A job does not get through. Look for `job … failed` in the log of the nodes that run jobs.",
} as const;

export type Kind = keyof typeof ADVICE;

export interface Finding {
  kind: Kind;
  count: number;
  /** The first NAMED of them. */
  named: string[];
}

export interface CheckResult {
  name: string;
  /** Rows that were looked at. */
  examined: number;
  faults: number;
  ms: number;
}

export interface Report {
  checks: CheckResult[];
  findings: Finding[];
}

/** Runs one statement of a check. */
export type Query = <Row extends object>(text: string, values?: unknown[]) => Promise<Row[]>;

/** @param expected rows that the check will look at, about; null where Postgres has not counted yet */
export type OnProgress = (check: string, examined: number, expected: number | null) => void;

/** One run over one database, by a connection that can't write. */
export class Audit {
  readonly #client: pg.Client;
  readonly #onProgress: OnProgress;
  readonly #findings = new Map<Kind, Finding>();
  readonly #checks: CheckResult[] = [];
  #running = "";
  #expected: number | null = null;
  #examined = 0;
  #faults = 0;

  constructor(url: string, onProgress: OnProgress) {
    this.#onProgress = onProgress;
    this.#client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 5000,
      application_name: "taskwire verify",
      options: `-c timezone=UTC -c default_transaction_read_only=on -c statement_timeout=${STATEMENT_MS} ${PLANS}`,
      types,
    });
    // The statement under way fails with it.
    this.#client.on("error", () => {});
  }

  connect = (): Promise<unknown> => this.#client.connect();
  end = (): Promise<void> => this.#client.end();

  /** A statement with a snapshot of its own. */
  query: Query = async (text, values) => (await this.#client.query(text, values)).rows as never[];

  /** Statements that see one state of the database. */
  async snapshot<Result>(work: (query: Query) => Promise<Result>): Promise<Result> {
    await this.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const result = await work(this.query);
    await this.query("COMMIT");
    return result;
  }

  fault(kind: Kind, text: string): void {
    const finding = this.#findings.get(kind) ?? { kind, count: 0, named: [] };
    this.#findings.set(kind, finding);
    finding.count += 1;
    this.#faults += 1;
    if (finding.named.length < NAMED) finding.named.push(text);
  }

  examined(rows: number): void {
    this.#examined += rows;
    this.#onProgress(this.#running, this.#examined, this.#expected);
  }

  /** @param tables those whose rows the check looks at: Postgres' own estimate says how many they have */
  async check(name: string, tables: string[], work: (audit: this) => Promise<void>): Promise<void> {
    const since = performance.now();
    const [{ rows } = { rows: -1 }] = await this.query<{ rows: number }>(
      "SELECT sum(reltuples)::bigint AS rows FROM pg_class WHERE oid = ANY ($1::regclass[])",
      [tables],
    );
    [this.#running, this.#expected, this.#examined, this.#faults] = [name, rows > 0 ? rows : null, 0, 0];
    this.examined(0);
    await work(this).catch((error: unknown) => {
      throw new Error(`The check of ${name} stopped: ${explain(error)}`, { cause: error });
    });
    const ms = Math.round(performance.now() - since);
    this.#checks.push({ name, examined: this.#examined, faults: this.#faults, ms });
  }

  get report(): Report {
    return { checks: this.#checks, findings: [...this.#findings.values()] };
  }
}
