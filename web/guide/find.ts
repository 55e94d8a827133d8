/** How the guide's search chooses among the parts of all pages. */

/** As services/api-gateway/guide-search.ts makes it. */
export interface Entry {
  page: string;
  title: string;
  href: string;
  text: string;
  weight: number;
}

/** Words that a question has and an answer does not need. */
const IDLE = new Set(
  "a an and are as at be by can do does for from has have how i if in is it my no not of on or that the this to what when where which why with without".split(
    " ",
  ),
);
/** What a word counts in the heading of a part, in the name of its page, and in its text at most. */
const [IN_TITLE, IN_PAGE, IN_TEXT] = [20, 6, 8];
/** A text of so many characters needs a word twice to count as much as a short one does by having it once. */
const LONG = 1500;

/** The words to look for: in lower case, without those that say nothing, plurals as singulars. */
export function wordsOf(query: string): string[] {
  const words = query.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}_/-]+/gu) ?? [];
  const telling = words.filter((word) => !IDLE.has(word));
  return (telling.length > 0 ? telling : words).map((word) => word.replace(/(?<=[a-z]{3})s$/, ""));
}

/** What one word counts in a part; 0 where it is not there. */
function worth({ title, page, text }: Entry, word: string): number {
  const begins = (within: string): boolean => {
    const at = within.toLowerCase().indexOf(word);
    return at === 0 || (at > 0 && !/[\p{L}\p{N}]/u.test(within[at - 1] as string));
  };
  const count = text.toLowerCase().split(word).length - 1;
  return (
    (begins(title) ? IN_TITLE : 0) +
    (begins(page) ? IN_PAGE : 0) +
    (count === 0 ? 0 : (IN_TEXT * count) / (count + 1 + text.length / LONG))
  );
}

/** The parts that have all of the words, or where there are none those that have some; the best first. */
export function find(entries: readonly Entry[], words: readonly string[]): Entry[] {
  const ranked = entries
    .map((entry) => {
      const counts = words.map((word) => worth(entry, word));
      const hits = counts.filter((count) => count > 0).length;
      return { entry, hits, rank: entry.weight * counts.reduce((sum, count) => sum + count, 0) };
    })
    .filter(({ hits }) => hits > 0);
  const most = Math.max(...ranked.map(({ hits }) => hits), 0);
  return ranked
    .filter(({ hits }) => hits === most)
    .sort((a, b) => b.rank - a.rank)
    .map(({ entry }) => entry);
}
