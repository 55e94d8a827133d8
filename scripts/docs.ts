/**
 * `npm run docs [-- --sources <url>]`: writes the guide as files into `site/`, for any static file server and below any
 * path. The pages are those that the gateway serves at `/guide`, and what they lead to: the API's document, the events, the
 * problems. A link to what only a running server has becomes text, and so does one to a file of the repository, unless
 * `--sources` says where those are (`https://git.example.com/taskwire/blob/main`).
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { explain } from "../core/explain.ts";
import { GUIDE, pathOfPage } from "../services/api-gateway/guide-menu.ts";
import { guidePages } from "../services/api-gateway/guide-pages.ts";
import { SEARCH_ENTRIES, type SearchEntry } from "../services/api-gateway/guide-search.ts";
import { HTML, type Page } from "../services/api-gateway/page.ts";
import { PAGES } from "../services/api-gateway/web-pages.ts";

/** Where `npm run docs` writes. */
const SITE = new URL("../site/", import.meta.url);
/** Where the examples call: the server that a reader has started. */
const ORIGIN = "http://127.0.0.1:3000";

/** The files of the site, all in one folder, by the paths where a server has them. */
const FILES = new Map<string, string>([
  ...GUIDE.map((page): [string, string] => [
    pathOfPage(page),
    `${page.slug === "" ? "index" : page.slug}.html`,
  ]),
  [SEARCH_ENTRIES, "search.json"],
  ["/app/guide.js", "guide.js"],
  ["/app/guide.css", "guide.css"],
  ["/app/icon.svg", "icon.svg"],
  ["/openapi.json", "openapi.json"],
  ["/asyncapi.json", "asyncapi.json"],
  ["/redoc", "api.html"],
  ["/redoc/bundle.js", "api.js"],
  ["/redoc/start.js", "api-start.js"],
  ["/docs/events", "events.html"],
  ["/problems", "problems.html"],
  ...[...PAGES.keys()]
    .filter((path) => path.startsWith("/problems/"))
    .map((path): [string, string] => [path, `problem-${path.slice("/problems/".length)}.html`]),
]);
/** Paths of a server that another page of the site stands for. */
const ALIASES = new Map([
  ["/docs", "/redoc"],
  ["/docs/client", "/guide/write-a-client"],
]);

/** The link from any file of the site to what a server has at a path; null where the site does not have it. */
function linkTo(href: string): string | null {
  const [path = "", anchor] = href.split("#");
  const file = FILES.get(ALIASES.get(path) ?? path);
  return file === undefined ? null : file + (anchor === undefined ? "" : `#${anchor}`);
}

/** @throws Error where the site does not have what its page needs */
function mustLinkTo(href: string): string {
  const link = linkTo(href);
  if (link === null) throw new Error(`the site has no ${href}`);
  return link;
}

/** Links of a document to files. @param keepText whether the text of a link that leads nowhere stays */
const relink = (document: string, keepText: boolean): string =>
  document
    .replace(
      /(<a\b[^>]*? href=")(\/[^"]*)("[^>]*>(.*?)<\/a>)/gs,
      (_, before: string, href: string, after: string, text: string) => {
        const link = linkTo(href);
        if (link === null) return keepText ? text : "";
        return before + link + after;
      },
    )
    .replace(
      /(<(?:link|script|input)\b[^>]*? (?:href|src|data-entries))="(\/[^"]*)"/g,
      (_, before: string, path: string) => `${before}="${mustLinkTo(path)}"`,
    );

/** A page as a file: with the policy that a server sends as a header, and links to files. */
function asFile(path: string, { type, content, policy }: Page): string | Buffer {
  const text = String(content);
  if (path === SEARCH_ENTRIES) {
    const entries = JSON.parse(text) as SearchEntry[];
    return JSON.stringify(entries.map((entry) => ({ ...entry, href: mustLinkTo(entry.href) })));
  }
  if (path === "/redoc/start.js") return text.replace("/openapi.json", mustLinkTo("/openapi.json"));
  if (type !== HTML) return content;
  const secured = text.replace(
    '<meta charset="utf-8">',
    `$&\n<meta http-equiv="Content-Security-Policy" content="default-src 'none'; ${policy ?? ""}">`,
  );
  // The bar leads to pages of a running server; without them it is shorter.
  const end = secured.indexOf("</header>");
  return relink(secured.slice(0, Math.max(end, 0)), false) + relink(secured.slice(Math.max(end, 0)), true);
}

/**
 * Writes the site into a folder, which it empties first.
 * @param sources URL of the repository's root, for links to its files; null to have none
 * @returns the number of files
 */
export async function buildSite(folder: URL, sources: string | null): Promise<number> {
  const pages = new Map([...PAGES, ...guidePages(sources)]);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [path, file] of FILES) {
    const make = pages.get(path);
    if (make === undefined) throw new Error(`the server has no ${path}`);
    await writeFile(new URL(file, folder), asFile(path, await make(ORIGIN)));
  }
  return FILES.size;
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({ options: { sources: { type: "string" } } });
    const count = await buildSite(SITE, values.sources?.replace(/\/$/, "") ?? null);
    console.log(`site/ has ${count} files; site/index.html is the first page`);
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exitCode = 1;
  }
}
