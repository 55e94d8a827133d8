/**
 * Searches among tasks. A word may be in three tasks or in half of them, and the caller may see all of them or none, so no
 * one way of reading is good for each. `found` looks the search up and stops at as many matches as a list counts.
 *
 * | matches, whoever sees them | read |
 * |---|---|
 * | at most COUNTED_ROWS | all of them, and each is judged |
 * | more | the caller's own tasks, newest first, until a page is full |
 *
 * A list by rank has to rank all that it may show, so it shows the newest COUNTED_ROWS of what matches.
 */
import { COUNTED_ROWS } from "../../core/pagination.ts";
import { type Branch, type Listing, rowsOf } from "../../mixins/listing.ts";
import { taskColumns } from "./tasks.columns.ts";

/** Weights of English stems in descriptions, stems in titles, words in descriptions, words in titles (migrations/0012). */
const WEIGHTS = "'{0.3, 0.8, 0.4, 1}'";

/**
 * `name AS (…)` of what is searched for: made once. The planner would make it again for each place where it stands.
 * @param request the parameter that holds the client's words
 */
export const asked = (request: string): string => `asked AS MATERIALIZED (
    SELECT tasks.search_query(${request}) AS words, websearch_to_tsquery('english', ${request}) AS stems)`;
const WORDS = "(SELECT words FROM asked)";
const STEMS = "(SELECT stems FROM asked)";

/** Ranks titles before descriptions, and whole words before words that only begin with what the search names. */
export const RANK = {
  sql: `ts_rank(${WEIGHTS}, t.words, ${WORDS}) + ts_rank(${WEIGHTS}, t.words, ${STEMS})`,
  type: "real",
};

/** One row more tells that there are more. */
const LIMIT = `LIMIT ${COUNTED_ROWS + 1}`;
const ALL_FOUND = `(SELECT count(*) FROM found) <= ${COUNTED_ROWS}`;
const NEWEST_FIRST = "created_at DESC, id DESC";

/** The columns that some conditions and sorts look at, and that put tasks in the order of their creation. */
const lookedAt = (sql: string[]): string =>
  Object.keys(taskColumns.list)
    .filter((name) => /^(id|created_at)$/.test(name) || new RegExp(`\\bt\\.${name}\\b`).test(sql.join(" ")))
    .map((name) => `t.${name}`)
    .join(", ");

/**
 * The parts of a list that has a search. Plan: tasks_words_idx, and the indexes of `branches`.
 * @param request the parameter that holds what is searched for
 * @param judged what a task must be to be in the list
 * @param branches where the tasks lie that the caller may see
 * @param sorts SQL of the keys of the list's order; the rank's is RANK's
 */
export function searched(
  request: string,
  { judged, branches, sorts }: { judged: string[]; branches: Branch[]; sorts: string[] },
): Pick<Listing, "with" | "branches" | "rows" | "total"> {
  const byRank = sorts.includes(RANK.sql);
  const columns = lookedAt(byRank ? judged : [...judged, ...sorts]);
  const found = `found AS MATERIALIZED (SELECT ${columns} FROM tasks.tasks t WHERE t.words @@ ${WORDS} ${LIMIT})`;
  const either = [
    { from: "found t", where: [ALL_FOUND, ...judged] },
    ...branches.map((branch) => ({
      ...branch,
      // The operator's function: no index knows it, so that Postgres does not look the word up for each project.
      where: [`NOT (${ALL_FOUND})`, ...branch.where, `ts_match_vq(t.words, ${WORDS})`],
    })),
  ];
  if (!byRank) return { with: [asked(request), found], branches: either, rows: "tasks.tasks t" };
  const newest = either.map(
    (branch) =>
      `(${rowsOf(branch, { columns: "t.created_at, t.id", orderBy: "t.created_at DESC, t.id DESC", limit: LIMIT })})`,
  );
  const matches = `matches AS MATERIALIZED (
    SELECT id FROM (${newest.join(" UNION ALL ")}) match ORDER BY ${NEWEST_FIRST} ${LIMIT})`;
  return {
    with: [asked(request), found, matches],
    // The offset keeps Postgres from joining the two in another way, which reads all tasks.
    branches: [
      {
        from: "matches CROSS JOIN LATERAL (SELECT * FROM tasks.tasks t WHERE t.id = matches.id OFFSET 0) t",
        where: ["true"],
      },
    ],
    total: "(SELECT count(*) FROM matches)",
  };
}
