/**
 * `/guide`: docs/ as pages for people, each made on its first request, with a search over all of them. `npm run docs`
 * writes the same pages as files (scripts/docs.ts).
 */
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { Marked, type Tokens } from "marked";
import { BROWSER_POLICY } from "./browser-pages.ts";
import { anchors } from "./guide-anchors.ts";
import { GROUPS, GUIDE, type GuidePage, pathOfPage } from "./guide-menu.ts";
import { SEARCH_ENTRIES, type SearchedDocuments, searchEntries } from "./guide-search.ts";
import { html, htmlDocument } from "./html.ts";
import { HTML, JSON_TYPE, type MakePage, type Page, TEXT } from "./page.ts";

const root = new URL("../../", import.meta.url);
/** A page with more parts than these lists its chapters alone. */
const MOST_PARTS = 80;

/** Where a link of a page leads; null where neither this server has it nor anybody knows where the sources are. */
function hrefFrom(file: string, href: string, sources: string | null): string | null {
  if (/^(https?:|#|\/)/.test(href)) return href;
  const [path = "", anchor] = href.split("#");
  const fragment = anchor === undefined ? "" : `#${anchor}`;
  const target = new URL(path, new URL(file, "file:///")).pathname.slice(1);
  const page = GUIDE.find((one) => one.file === target);
  if (page !== undefined) return pathOfPage(page) + fragment;
  if (/^docs\/(openapi|asyncapi)\.json$/.test(target)) return target.slice("docs".length);
  return sources === null ? null : `${sources}/${target}${fragment}`;
}

/** Where the pages' examples call, with `http://` or without. */
const EXAMPLE_ORIGIN = /(?:http:\/\/)?127\.0\.0\.1:3000/g;

/** A file of the repository, with this server's address in its examples. @param file below the repository */
const readFrom = async (file: string, origin: string): Promise<string> =>
  (await readFile(new URL(file, root), "utf8")).replaceAll(EXAMPLE_ORIGIN, origin);

/** The same as a page of its own. */
export const asText =
  (file: string): MakePage =>
  async (origin) => ({ type: TEXT, content: await readFrom(file, origin) });

/** The Markdown of a page; a program stands in one block. */
async function readPage({ file }: GuidePage, origin: string): Promise<string> {
  const text = await readFrom(file, origin);
  const language = extname(file).slice(1);
  return language === "md" ? text : `\`\`\`${language}\n${text}\`\`\`\n`;
}

const readJson = async (file: string): Promise<unknown> =>
  JSON.parse(await readFile(new URL(file, root), "utf8"));

/** A heading of the second level or the third. */
export interface Part {
  anchor: string;
  title: string;
  depth: number;
}

interface Rendered {
  body: string;
  parts: Part[];
}

function render({ file, title }: GuidePage, markdown: string, sources: string | null): Rendered {
  const parts: Part[] = [];
  const nextAnchor = anchors();
  let hasTitle = false;
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }: Tokens.Heading): string {
        const anchor = nextAnchor(text);
        const inner = this.parser.parseInline(tokens);
        if (depth === 1) hasTitle = true;
        if (depth === 2 || depth === 3) parts.push({ anchor, title: inner.replace(/<[^>]+>/g, ""), depth });
        return `<h${depth} id="${anchor}">${inner}${depth === 1 ? "" : ` <a class="anchor" href="#${anchor}" aria-label="Link to this part">#</a>`}</h${depth}>\n`;
      },
      link({ href, tokens }: Tokens.Link): string {
        const inner = this.parser.parseInline(tokens);
        const target = hrefFrom(file, href, sources);
        return target === null ? inner : `<a href="${html(target)}">${inner}</a>`;
      },
      // Pictures and comments are for readers of the repository.
      image: () => "",
      html: ({ text }: Tokens.HTML | Tokens.Tag): string => (text.startsWith("<!--") ? "" : text),
      table(token: Tokens.Table): string {
        const row = (cells: Tokens.TableCell[], tag: string): string =>
          `<tr>${cells.map(({ tokens }) => `<${tag}>${this.parser.parseInline(tokens)}</${tag}>`).join("")}</tr>`;
        return `<div class="table" tabindex="0"><table><thead>${row(token.header, "th")}</thead><tbody>${token.rows
          .map((cells) => row(cells, "td"))
          .join("\n")}</tbody></table></div>\n`;
      },
      code({ text, lang }: Tokens.Code): string {
        const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
        return `<pre tabindex="0" data-language="${html((lang ?? "").split(" ")[0] ?? "")}"><code>${escaped}</code></pre>\n`;
      },
    },
  });
  const body = marked.parse(markdown, { async: false });
  return { body: hasTitle ? body : `<h1>${html(title)}</h1>\n${body}`, parts };
}

/** @param current path of the page that is shown */
function menu(current: string): string {
  const item = ({ path, title }: { path: string; title: string }): string =>
    `<li><a href="${path}"${path === current ? ' aria-current="page"' : ""}>${html(title)}</a></li>`;
  return GROUPS.map(({ name, pages, links }) => {
    const own = pages.map((page) => ({ path: pathOfPage(page), title: page.title }));
    return `<h2>${html(name)}</h2>\n<ul>${[...own, ...links].map(item).join("")}</ul>`;
  }).join("\n");
}

function contents(parts: readonly Part[]): string {
  if (parts.length === 0) return "";
  const shown = parts.length > MOST_PARTS ? parts.filter(({ depth }) => depth === 2) : parts;
  const items = shown.map(
    ({ anchor, title, depth }) => `<li class="depth-${depth}"><a href="#${anchor}">${title}</a></li>`,
  );
  return `<nav class="contents" aria-label="On this page"><h2>On this page</h2><ul>${items.join("")}</ul></nav>`;
}

/**
 * A page with the guide's bar, search and menu.
 * @param path where it is served
 * @param body HTML
 * @param parts what "On this page" lists
 */
export const framed = (path: string, title: string, body: string, parts: readonly Part[] = []): Page => ({
  type: HTML,
  content: htmlDocument(
    `${title} · Taskwire`,
    `<meta name="color-scheme" content="light dark">
<link rel="icon" href="/app/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/app/guide.css">
<script type="module" src="/app/guide.js"></script>`,
    `<header class="bar">
<a class="brand" href="/guide">Taskwire <span>Guide</span></a>
<div class="search" role="search">
<input id="search" data-entries="${SEARCH_ENTRIES}" type="search" placeholder="Search the guide" aria-label="Search the guide" role="combobox" aria-expanded="false" aria-controls="found" autocomplete="off">
<div id="found" role="listbox" aria-label="Parts found" hidden></div>
</div>
<nav aria-label="Server"><a href="/app">Board</a> <a href="/docs">REST API</a> <a href="/events">Events</a></nav>
</header>
<div class="columns">
<nav class="menu" aria-label="Pages">${menu(path)}</nav>
<main>${body}</main>
${contents(parts)}
</div>`,
  ),
  policy: BROWSER_POLICY,
});

/** @param origin URL of this server, for examples */
async function guidePage(page: GuidePage, origin: string, sources: string | null): Promise<Page> {
  const { body, parts } = render(page, await readPage(page, origin), sources);
  return framed(pathOfPage(page), page.title, body, parts);
}

/**
 * The pages of the guide, the same as text, and what its search reads, by path.
 * @param sources URL of the repository's root, for links to its files; null where it is not known: they are text then
 */
export const guidePages = (sources: string | null): [string, MakePage][] => [
  ...GUIDE.flatMap((page): [string, MakePage][] => [
    [pathOfPage(page), (origin) => guidePage(page, origin, sources)],
    [`${pathOfPage(page)}.md`, asText(page.file)],
  ]),
  [
    SEARCH_ENTRIES,
    async (origin) => {
      const [api, events] = await Promise.all(["docs/openapi.json", "docs/asyncapi.json"].map(readJson));
      const documents = { api, events } as SearchedDocuments;
      const entries = await searchEntries((page) => readPage(page, origin), documents);
      return { type: JSON_TYPE, content: JSON.stringify(entries) };
    },
  ],
];
