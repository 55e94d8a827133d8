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

/** Ranks titles before descriptions, and whole words before words that only begin with what the search names. */
export const rankOf = (words: string, request: string): string =>
  `ts_rank(${WEIGHTS}, t.words, ${words}) + ts_rank(${WEIGHTS}, t.words, websearch_to_tsquery('english', ${request}))`;

/** One row more tells that there are more. */
const LIMIT = `LIMIT ${COUNTED_ROWS + 1}`;
const ALL_FOUND = `(SELECT count(*) FROM found) <= ${COUNTED_ROWS}`;
const NEWEST_FIRST = "created_at DESC, id DESC";

/** What filters and sorts look at. Descriptions are long. */
const JUDGED = Object.keys(taskColumns.list)
  .filter((name) => name !== "description")
  .map((name) => `t.${name}`)
  .join(", ");

/**
 * The parts of a list that has a search. Plan: tasks_words_idx, and the indexes of `branches`.
 * @param words SQL of what is searched for (`tasks.search_query`)
 * @param judged what a task must be to be in the list
 * @param branches where the tasks lie that the caller may see
 * @param byRank whether the rank is a key of the list's order
 */
export function searched(
  words: string,
  { judged, branches, byRank }: { judged: string[]; branches: Branch[]; byRank: boolean },
): Pick<Listing, "with" | "branches" | "rows" | "total"> {
  const found = `found AS MATERIALIZED (SELECT ${JUDGED} FROM tasks.tasks t WHERE t.words @@ ${words} ${LIMIT})`;
  const either = [
    { from: "found t", where: [ALL_FOUND, ...judged] },
    ...branches.map((branch) => ({
      ...branch,
      // The operator's function: no index knows it, so that Postgres does not look the word up for each project.
      where: [`NOT (${ALL_FOUND})`, ...branch.where, `ts_match_vq(t.words, ${words})`],
    })),
  ];
  if (!byRank) return { with: [found], branches: either, rows: "tasks.tasks t" };
  const newest = either.map(
    (branch) =>
      `(${rowsOf(branch, { columns: "t.created_at, t.id", orderBy: "t.created_at DESC, t.id DESC", limit: LIMIT })})`,
  );
  const matches = `matches AS MATERIALIZED (
    SELECT id FROM (${newest.join(" UNION ALL ")}) match ORDER BY ${NEWEST_FIRST} ${LIMIT})`;
  return {
    with: [found, matches],
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
