/** What the guide's search reads: the parts of its pages, the problems, the events and the API's operations. */
import { Marked, type Token, type Tokens } from "marked";
import { PROBLEMS } from "../../core/errors.ts";
import { GROUPS, type GuidePage, pathOfPage } from "./guide-menu.ts";
import { anchors } from "./guide-anchors.ts";

/** Where the guide's search reads. */
export const SEARCH_ENTRIES = "/guide/search.json";

/** A part of a page, as the search knows it. */
export interface SearchEntry {
  page: string;
  title: string;
  href: string;
  text: string;
  /** How much it counts, up to 1. */
  weight: number;
}

/** As much of the two documents as a search shows. */
export interface SearchedDocuments {
  api: { paths: Record<string, Record<string, { operationId?: string; summary?: string; tags?: string[] }>> };
  events: { components: { messages: Record<string, { summary: string }> } };
}

/** What stands between two headings of a page. */
function partsOf(page: GuidePage, markdown: string, weight: number): SearchEntry[] {
  const nextAnchor = anchors();
  const path = pathOfPage(page);
  let entry: SearchEntry = { page: page.title, title: page.title, href: path, text: "", weight };
  const entries = [entry];
  for (const token of new Marked().lexer(markdown) as Token[]) {
    if (token.type === "html" && token.raw.startsWith("<!--")) continue;
    if (token.type !== "heading") {
      entry.text += ` ${token.raw.replace(/[`*|#>[\]]|\]\([^)]*\)|-{3,}/g, " ").replace(/\s+/g, " ")}`;
      continue;
    }
    const { text } = token as Tokens.Heading;
    const href = `${path}#${nextAnchor(text)}`;
    entry = { page: page.title, title: text.replace(/[`*]/g, ""), href, text: "", weight };
    entries.push(entry);
  }
  return entries;
}

const problems = (): SearchEntry[] =>
  Object.entries(PROBLEMS).map(([code, { title, status, explain }]) => ({
    page: `Problem ${status}`,
    title: code,
    href: `/problems/${code}`,
    text: `${title}. ${explain}`,
    weight: 1,
  }));

const messages = ({ events }: SearchedDocuments): SearchEntry[] =>
  Object.entries(events.components.messages).map(([name, { summary }]) => ({
    page: "Events and frames",
    title: name,
    href: `/docs/events#${name}`,
    text: summary,
    weight: 1,
  }));

const operations = ({ api }: SearchedDocuments): SearchEntry[] =>
  Object.entries(api.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).flatMap(([verb, { operationId, summary = "", tags = [] }]) =>
      operationId === undefined
        ? []
        : [
            {
              page: "REST API",
              title: `${summary}: ${verb.toUpperCase()} ${path}`,
              href: `/redoc#tag/${tags[0] ?? ""}/operation/${operationId}`,
              text: operationId,
              weight: 1,
            },
          ],
    ),
  );

/**
 * All that can be found.
 * @param read the Markdown of a page
 */
export async function searchEntries(
  read: (page: GuidePage) => Promise<string>,
  documents: SearchedDocuments,
): Promise<SearchEntry[]> {
  const parts = GROUPS.flatMap(({ pages, weight }) =>
    pages.map(async (page) => partsOf(page, await read(page), weight)),
  );
  return [
    ...(await Promise.all(parts)).flat(),
    ...problems(),
    ...messages(documents),
    ...operations(documents),
  ];
}
