/**
 * `/guide`: docs/ as pages for people, each made on its first request, with a search over all of them. `npm run docs`
 * writes the same pages as files (scripts/docs.ts).
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Marked, type Token, type Tokens } from "marked";
import { BROWSER_POLICY } from "./browser-pages.ts";
import { html, htmlDocument } from "./html.ts";
import { HTML, JSON_TYPE, type MakePage, TEXT } from "./page.ts";

export interface GuidePage {
  /** `/guide/<slug>`; the first page is at `/guide` itself. */
  slug: string;
  title: string;
  /** Below the repository. */
  file: string;
}

/** In the order of the menu. A page whose file is not there yet is left out. */
const GROUPS: readonly { name: string; pages: readonly GuidePage[] }[] = [
  {
    name: "Build on it",
    pages: [
      { slug: "", title: "Start", file: "docs/guide.md" },
      { slug: "rest", title: "REST", file: "docs/rest.md" },
      { slug: "realtime", title: "Realtime", file: "docs/realtime.md" },
      { slug: "sdk", title: "SDK for TypeScript", file: "client/README.md" },
      { slug: "sdk-reference", title: "SDK reference", file: "client/docs/api-reference.md" },
      { slug: "write-a-client", title: "Write your own client", file: "docs/write-a-client.md" },
      { slug: "reference", title: "Reference", file: "docs/reference.md" },
    ],
  },
  {
    name: "Understand it",
    pages: [
      { slug: "architecture", title: "Concepts", file: "docs/architecture.md" },
      { slug: "guarantees", title: "Guarantees", file: "docs/guarantees.md" },
      { slug: "chaos", title: "How they are proven", file: "docs/chaos.md" },
      {
        slug: "how-it-stays-right",
        title: "How a client stays right",
        file: "client/docs/how-it-stays-right.md",
      },
      { slug: "security", title: "Security", file: "docs/security.md" },
      { slug: "decisions", title: "Decisions", file: "docs/decisions.md" },
    ],
  },
  {
    name: "Operate it",
    pages: [
      { slug: "operations", title: "Operations", file: "docs/operations.md" },
      { slug: "scaling", title: "Scaling", file: "docs/scaling.md" },
      { slug: "performance", title: "Performance", file: "docs/performance.md" },
      { slug: "metrics", title: "Metrics", file: "docs/metrics.md" },
    ],
  },
];

const root = new URL("../../", import.meta.url);
const groups = GROUPS.map(({ name, pages }) => ({
  name,
  pages: pages.filter(({ file }) => existsSync(new URL(file, root))),
}));

/** All pages, in the order of the menu. */
export const GUIDE: readonly GuidePage[] = groups.flatMap(({ pages }) => pages);

/** Where the guide's search reads. */
export const SEARCH_ENTRIES = "/guide/search.json";

/** Where a server has a page. */
export const pathOfPage = ({ slug }: Pick<GuidePage, "slug">): string =>
  slug === "" ? "/guide" : `/guide/${slug}`;

/** The anchor that GitHub gives to a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");

/** Anchors of one page: the second of one name ends with `-1`. */
function anchors(): (heading: string) => string {
  const seen = new Map<string, number>();
  return (heading) => {
    const anchor = anchorOf(heading);
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  };
}

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

const read = async ({ file }: Pick<GuidePage, "file">, origin: string): Promise<string> =>
  (await readFile(new URL(file, root), "utf8")).replaceAll(EXAMPLE_ORIGIN, origin);

/** A page of Markdown as it is, with this server's address in its examples. @param file below the repository */
export const asText =
  (file: string): MakePage =>
  async (origin) => ({ type: TEXT, content: await read({ file }, origin) });

interface Rendered {
  body: string;
  /** Headings of the second level. */
  parts: { anchor: string; title: string }[];
}

function render({ file, title }: GuidePage, markdown: string, sources: string | null): Rendered {
  const parts: Rendered["parts"] = [];
  const nextAnchor = anchors();
  let hasTitle = false;
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }: Tokens.Heading): string {
        const anchor = nextAnchor(text);
        const inner = this.parser.parseInline(tokens);
        if (depth === 1) hasTitle = true;
        if (depth === 2) parts.push({ anchor, title: inner.replace(/<[^>]+>/g, "") });
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

function menu(current: GuidePage): string {
  const item = (page: GuidePage): string =>
    `<li><a href="${pathOfPage(page)}"${page === current ? ' aria-current="page"' : ""}>${html(page.title)}</a></li>`;
  return groups
    .map(({ name, pages }) => `<h2>${html(name)}</h2>\n<ul>${pages.map(item).join("")}</ul>`)
    .join("\n");
}

/** @param origin URL of this server, for examples */
async function guidePage(page: GuidePage, origin: string, sources: string | null): Promise<string> {
  const { body, parts } = render(page, await read(page, origin), sources);
  const contents = parts.map(({ anchor, title }) => `<li><a href="#${anchor}">${title}</a></li>`).join("");
  return htmlDocument(
    `${page.title} · Taskwire`,
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
<nav class="menu" aria-label="Pages">${menu(page)}</nav>
<main>${body}</main>
<nav class="contents" aria-label="On this page"><h2>On this page</h2><ul>${contents}</ul></nav>
</div>`,
  );
}

/** A part of a page, as the search knows it. */
export interface SearchEntry {
  page: string;
  title: string;
  href: string;
  text: string;
}

/** All parts of all pages: what stands between two headings. */
async function searchEntries(origin: string): Promise<SearchEntry[]> {
  const entries: SearchEntry[] = [];
  for (const page of GUIDE) {
    const nextAnchor = anchors();
    let entry: SearchEntry = { page: page.title, title: page.title, href: pathOfPage(page), text: "" };
    entries.push(entry);
    for (const token of new Marked().lexer(await read(page, origin)) as Token[]) {
      if (token.type === "html" && token.raw.startsWith("<!--")) continue;
      if (token.type !== "heading") {
        entry.text += ` ${token.raw.replace(/[`*|#>[\]]|\]\([^)]*\)|-{3,}/g, " ").replace(/\s+/g, " ")}`;
        continue;
      }
      const { text } = token as Tokens.Heading;
      const href = `${pathOfPage(page)}#${nextAnchor(text)}`;
      entry = { page: page.title, title: text.replace(/[`*]/g, ""), href, text: "" };
      entries.push(entry);
    }
  }
  return entries;
}

/**
 * The pages of the guide, the same as text, and what its search reads, by path.
 * @param sources URL of the repository's root, for links to its files; null where it is not known: they are text then
 */
export const guidePages = (sources: string | null): [string, MakePage][] => [
  ...GUIDE.flatMap((page): [string, MakePage][] => [
    [
      pathOfPage(page),
      async (origin) => ({
        type: HTML,
        content: await guidePage(page, origin, sources),
        policy: BROWSER_POLICY,
      }),
    ],
    [`${pathOfPage(page)}.md`, asText(page.file)],
  ]),
  [
    SEARCH_ENTRIES,
    async (origin) => ({ type: JSON_TYPE, content: JSON.stringify(await searchEntries(origin)) }),
  ],
];
