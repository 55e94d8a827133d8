/**
 * Lists (docs/reference.md, Lists), each as one statement: a page by offset with its total, or a page by cursor, which
 * costs the same at any depth (keyset: the rows after the last row's position, by an index in that order).
 *
 * The rows that a page may have to read decide which connections it gets (`costOf`; mixins/database.ts):
 *
 * | rows read | when | connections |
 * |---|---|---|
 * | the page's own | by cursor, along one index that holds the list's rows and no others, in its order | those of single reads |
 * | a thousand | the same with a total or an offset, where the list was as short when it was counted last | those of single reads |
 * | some thousand | the same with a total or an offset, both of at most COUNTED_ROWS rows; a page out of several indexes; all rows of one person | the slow ones |
 * | any number | a filter or an order without an index, a search | at most half of the slow ones |
 */
import { invalidParameter, type Problem } from "../core/errors.ts";
import { COUNTED_ROWS, type Page, type PageOf, parseSort } from "../core/pagination.ts";
import type { Queryable, Statement } from "./database.ts";
import type { Cost } from "./turns.ts";

/** Collects the values of a statement and gives each its `$n`. */
export class Parameters {
  readonly values: unknown[];

  constructor(...values: unknown[]) {
    this.values = values;
  }

  /** @returns `$n` */
  add(value: unknown): string {
    return `$${this.values.push(value)}`;
  }
}

/** `text` as it is, for a LIKE pattern. */
export const literally = (text: string): string => text.replace(/[\\%_]/g, "\\$&");

/** An expression to sort by, never null: `>` and `<` compare positions, and null has none. */
export interface SortKey {
  sql: string;
  type: string;
}

/** Rows of a list. Each row is in at most one branch of its list. */
export interface Branch {
  /** A source of rows, for each of which an index gives the first few rows of the branch. */
  each?: string;
  from: string;
  where: string[];
}

export interface Listing {
  /** The columns of an item (`t.id, t.user_id AS owner`), `id` among them; each ends with its name in the item. */
  columns: string;
  /**
   * The table of the items, as `t`, where the branches give ids and sort keys alone: a page that is put together out of many
   * rows sorts short ones, and reads its own items by id.
   */
  rows?: string;
  branches: Branch[];
  sorts: Record<string, SortKey>;
  /** The keys of `sorts` in whose order an index holds the rows of each branch. */
  indexed: string[];
  /** The order when the client names none. */
  sort: string;
  /** The branches have a condition outside that index: the statement may read rows and skip them. */
  filtered?: boolean;
  /**
   * Two indexes lead to a page: one in the list's order, and one that finds what a filter asks for. Which of them is shorter
   * depends on the values, and Postgres decides whether to plan the statement with them.
   */
  choice?: boolean;
  /**
   * How to read the rows depends on the values: without a name Postgres plans the statement with them, which takes a
   * millisecond. By default so does each statement that may read any number of rows.
   */
  byValues?: boolean;
  /** The branches hold rows of one person, some thousand at most, whatever the filter. */
  small?: boolean;
  /** The id of the user who asks. */
  caller: string;
  /** Breaks ties between rows that sort alike; `t.id` by default. */
  id?: SortKey;
  /** `name AS (…)` that the branches may use. */
  with?: string[];
  /** SQL of the total, up to one row more than COUNTED_ROWS, where something has counted the rows already. */
  total?: string;
  /** The total that was counted last, null for none, and SQL of it that is null where the rows must be counted again. */
  known?: { total: number | null; sql: string };
  /** What the first row of the result brings along, by its names there (`{ of_project: "project.id" }`), and its source. */
  about?: { columns: Record<string, string>; from: string };
}

/** Columns of a page's rows that are no part of the items. */
interface Extra {
  /** Of the first row. */
  total: number | null;
  /** Of the page's last row, where it stands in the list: the cursor of what follows it. */
  page_position: string | null;
}

/** Rows of an index that cost no more to count than a single read costs. */
export const QUICKLY_COUNTED = 1000;

/**
 * Rows from where a page's statement begins to read to the page's end, in steps that stand in its text. A kept plan is made for
 * any values, and takes a limit that is a parameter for a tenth of all rows: where these are many, Postgres would plan each page
 * again with its values, which takes longer than to read it. So it does where a step is much longer than the page: the usual limits
 * have steps of their own. Reading more rows than these takes longer than planning.
 */
const REACHES = [6, 11, 21, 31, 51, 101, 1001];

const UUID = { sql: "t.id", type: "uuid" };

interface Slice {
  columns: string;
  orderBy: string;
  limit: string;
  /** So many rows, and their order by the names that `page` has for the columns. */
  reach?: { rows: number; orderBy: string } | undefined;
}

/** The names of columns in a row. */
const namesOf = (columns: string): string[] =>
  columns.split(",").map((column) => /\w+$/.exec(column.trim())?.[0] ?? "");

/**
 * Some of a branch's rows: with `each`, so many for every row of it.
 * @param slice `limit` takes some of all rows, or of the first ones that `reach` names
 */
export function rowsOf({ each, from, where }: Branch, { columns, orderBy, limit, reach }: Slice): string {
  const all = `SELECT ${columns} FROM ${from} WHERE ${where.join(" AND ")} ORDER BY ${orderBy}`;
  const first = reach && `SELECT * FROM (${all} LIMIT ${reach.rows}) page ORDER BY ${reach.orderBy}`;
  const rows = `${first ?? all} ${limit}`;
  return each === undefined ? rows : `SELECT nth.* FROM ${each} CROSS JOIN LATERAL (${rows}) nth`;
}

/** Whether a page's rows follow one another in the indexes of the branches. */
function isInOrder(
  { indexed, sort, filtered = false }: Pick<Listing, "indexed" | "sort" | "filtered">,
  page: PageOf,
): boolean {
  const [first, ...more] = parseSort(page.sort ?? sort);
  return !filtered && more.length === 0 && first !== undefined && indexed.includes(first.key);
}

/** The rows that a page of a list may have to read; undefined: only the page's own. */
export function costOf(
  listing: Omit<Listing, "columns" | "sorts" | "caller">,
  page: PageOf,
): Cost | undefined {
  const { branches, small = false, known } = listing;
  if (!small && !isInOrder(listing, page)) return "unbounded";
  const counts = page.cursor === undefined && (known?.total ?? Infinity) > QUICKLY_COUNTED;
  const oneIndex = branches.length === 1 && branches[0]?.each === undefined;
  return small || counts || !oneIndex ? "bounded" : undefined;
}

/**
 * One page as a statement.
 * @throws Problem validation-failed for a cursor of another order
 */
export function listStatement(listing: Listing, page: PageOf, parameters: Parameters): Statement {
  const { columns, rows, branches, sorts, id = UUID, about } = listing;
  const terms = parseSort(page.sort ?? listing.sort).map(({ key, descending }) => ({
    ...(sorts[key] as SortKey),
    descending,
  }));
  // Equal rows go on in the direction of the last key, so that one index serves both ways.
  const keys = [...terms, { ...id, descending: terms.at(-1)?.descending ?? false }];
  const direction = ({ descending }: { descending: boolean }) => (descending ? " DESC" : "");
  const orderBy = keys.map((key) => `${key.sql}${direction(key)}`).join(", ");
  const outerOrder = keys.map((key, n) => `page.k${n}${direction(key)}`).join(", ");
  const position = keys.map((_key, n) => `page.k${n}::text`).join(", ");
  const after = page.cursor
    ? afterPosition(keys, readPosition(page.cursor, keys.length), parameters)
    : "true";
  const counts = page.cursor === undefined;
  const offset = parameters.add(page.offset ?? 0);
  // One row more than the limit tells whether there is a next page.
  const take = parameters.add(page.limit + 1);

  const end = page.limit + 1 + (page.offset ?? 0);
  const step = REACHES.find((reach) => end <= reach);
  const isWalk = isInOrder(listing, page) && listing.choice !== true;
  const reach = isWalk && step !== undefined ? { rows: step, orderBy: outerOrder } : undefined;

  const slice = `LIMIT ${take}::int OFFSET ${offset}::int`;
  const selected = [rows === undefined ? columns : "t.id", ...keys.map(({ sql }, n) => `${sql} AS k${n}`)];
  const some = (branch: Branch, limit: string) =>
    rowsOf(
      { ...branch, where: [...branch.where, after] },
      { columns: selected.join(", "), orderBy, limit, reach },
    );
  const [only] = branches as [Branch];
  // The first few rows of each branch, then the first few of those.
  const few = () => branches.map((branch) => `(${some(branch, `LIMIT ${take}::int + ${offset}::int`)})`);
  const paged =
    branches.length === 1 && only.each === undefined
      ? some(only, slice)
      : `SELECT * FROM (${few().join(" UNION ALL ")}) page ORDER BY ${outerOrder} ${slice}`;
  // One row more than the total counts tells that there are more.
  const count = ({ each, from, where }: Branch) =>
    `(SELECT count(*) FROM (SELECT FROM ${each === undefined ? "" : `${each} CROSS JOIN `}${from}
      WHERE ${where.join(" AND ")} LIMIT ${COUNTED_ROWS + 1}) counted)`;
  const counted = listing.total ?? branches.map(count).join(" + ");
  const known = listing.known === undefined ? counted : `coalesce(${listing.known.sql}, ${counted})`;
  const total = counts ? known : "NULL::bigint";
  // Each column of each row costs both sides some tenths of a microsecond: only the row that needs a value has it.
  const onFirst = { total: "counted.total", ...about?.columns };
  const others = Object.entries(onFirst).map(
    ([name, sql]) => `CASE WHEN page.nth > 1 THEN NULL ELSE ${sql} END AS ${name}`,
  );
  const item = namesOf(columns).map((name) => `${rows === undefined ? "page" : "item"}.${name}`);
  const text = `WITH ${[
    ...(listing.with ?? []),
    `counted AS (SELECT ${total} AS total)`,
    `page AS (SELECT *, row_number() OVER (ORDER BY ${outerOrder}) AS nth FROM (${paged}) page)`,
  ].join(",\n")}
     SELECT ${[...others, ...item].join(", ")},
            CASE WHEN page.nth = ${take}::int - 1 THEN json_build_array(${position})::text END AS page_position
     FROM counted ${about === undefined ? "" : `LEFT JOIN ${about.from} ON true`} LEFT JOIN page ON true
     ${rows === undefined ? "" : `LEFT JOIN LATERAL (SELECT ${columns} FROM ${rows} WHERE t.id = page.id OFFSET 0) item ON true`}
     ORDER BY page.nth`;
  const { values } = parameters;
  const slow = costOf(listing, page);
  if (slow === undefined) return named(text, values);
  const { byValues = slow === "unbounded" } = listing;
  return { ...(byValues ? { text, values } : named(text, values)), slow, by: listing.caller };
}

/** `(a, b, id) > (…)` when all keys sort one way, so that an index can begin there; else the same, written out. */
function afterPosition(
  keys: (SortKey & { descending: boolean })[],
  position: string[],
  parameters: Parameters,
): string {
  const places = position.map((value, n) => `${parameters.add(value)}::${keys[n]?.type}`);
  const [first] = keys;
  if (keys.every(({ descending }) => descending === first?.descending))
    return `(${keys.map(({ sql }) => sql).join(", ")}) ${first?.descending === true ? "<" : ">"} (${places.join(", ")})`;
  const steps = keys.map(({ sql, descending }, n) =>
    [
      ...keys.slice(0, n).map((before, m) => `${before.sql} = ${places[m]}`),
      `${sql} ${descending ? "<" : ">"} ${places[n]}`,
    ].join(" AND "),
  );
  return `(${steps.map((step) => `(${step})`).join(" OR ")})`;
}

/** The gateway passes only cursors that it signed for this list; any other cursor is a mistake of another caller. */
function readPosition(cursor: string, length: number): string[] {
  try {
    const position: unknown = JSON.parse(cursor);
    if (
      Array.isArray(position) &&
      position.length === length &&
      position.every((part) => typeof part === "string")
    )
      return position;
  } catch {
    // Not JSON.
  }
  throw invalidCursor();
}

export const invalidCursor = (): Problem =>
  invalidParameter("cursor", "cursor", "The cursor is not valid for this list, these filters and this user");

/** Runs a list. @returns its page, and the first row with the columns of `about` */
export async function readPage<Row extends { id: string }, Item = Row>(
  db: Queryable,
  statement: Statement,
  page: PageOf,
  view: (row: Row) => Item,
): Promise<{ page: Page<Item>; about: (Row & Extra) | undefined }> {
  const rows = await db.query<Row & Extra>(statement);
  const found = rows.filter(({ id }) => (id as string | null) !== null);
  const last = found.length > page.limit ? found[page.limit - 1] : undefined;
  const total = rows[0]?.total ?? null;
  return {
    about: rows[0],
    page: {
      items: found.slice(0, page.limit).map(view),
      limit: page.limit,
      next_cursor: last?.page_position ?? null,
      ...(total !== null && {
        offset: page.offset ?? 0,
        total: Math.min(total, COUNTED_ROWS),
        ...(total > COUNTED_ROWS && { total_capped: true }),
      }),
    },
  };
}

/** Names of statements by their text: each connection prepares these once. Filters make many texts; rare ones get no name. */
const names = new Map<string, string>();
const MAX_NAMED_STATEMENTS = 200;

function named(text: string, values: unknown[]): Statement {
  let name = names.get(text);
  if (name === undefined && names.size < MAX_NAMED_STATEMENTS) {
    name = `list-${names.size}`;
    names.set(text, name);
  }
  return { ...(name !== undefined && { name }), text, values };
}
