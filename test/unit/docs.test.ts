/** The pages hold together: what the tree cites by a heading is there, and so is what a page links to. */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import { EVENT_TYPES } from "../../services/events.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const NOT_OURS = ["node_modules", "coverage", ".git", ".data", "site"];

async function filesOf(directory: string): Promise<string[]> {
  const entries = await readdir(root + directory, { withFileTypes: true });
  const nested = entries
    .filter(({ name }) => !NOT_OURS.includes(name))
    .map(async (entry) => {
      const path = posix.join(directory, entry.name);
      return entry.isDirectory() ? filesOf(path) : [path];
    });
  return (await Promise.all(nested)).flat();
}

const paths = (await filesOf("")).filter((path) => /\.(ts|mjs|js|md|sql|yml)$/.test(path));
const texts = new Map(
  await Promise.all(paths.map(async (path) => [path, await readFile(root + path, "utf8")] as const)),
);
const pages = [...texts.keys()].filter((path) => path.endsWith(".md"));
const textOf = (path: string): string => texts.get(path) ?? "";

/** Markdown without its code, where a `#` is a comment and brackets are an index. */
const prose = (markdown: string): string =>
  markdown.replace(/^```[\s\S]*?^```$/gm, "").replace(/<!--[\s\S]*?-->/g, "");

const headingsOf = (path: string): string[] =>
  [...prose(textOf(path)).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => heading as string);

/** The anchors that GitHub gives to a page's headings: the second of one name ends with `-1`. */
function anchorsOf(path: string): Set<string> {
  const anchors = new Set<string>();
  for (const heading of headingsOf(path)) {
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replace(/\s/g, "-");
    let unique = anchor;
    for (let n = 1; anchors.has(unique); n++) unique = `${anchor}-${n}`;
    anchors.add(unique);
  }
  return anchors;
}

/** A comment as one line, so that a citation may be broken over two. */
const unwrapped = (text: string): string => text.replace(/\s*\n\s*(?:\*|\/\/|--|#)?\s*/g, " ");

interface Citation {
  in: string;
  page: string;
  /** What follows the comma, the heading first. */
  rest: string;
}

const citations: Citation[] = [...texts].flatMap(([path, text]) =>
  [...unwrapped(text).matchAll(/docs\/(\w+\.md), (?=[A-Z])(.{0,80})/g)].map(([, page, rest]) => ({
    in: path,
    page: `docs/${page as string}`,
    rest: rest as string,
  })),
);

const isHeading = ({ page, rest }: Citation): boolean =>
  headingsOf(page).some((heading) => rest.startsWith(heading) && !/^[\w-]/.test(rest.slice(heading.length)));

describe("a citation", () => {
  test("names a heading that the page has", () => {
    expect(citations.length).toBeGreaterThan(40);
    expect(citations.filter((citation) => !isHeading(citation))).toEqual([]);
  });

  test("names a page that is in the repository", () => {
    const cited = [...texts].flatMap(([path, text]) =>
      [...text.matchAll(/\bdocs\/\w+\.md\b/g)].map(([page]) => ({ in: path, page })),
    );
    expect(cited.filter(({ page }) => !existsSync(root + page))).toEqual([]);
    const elsewhere = new RegExp(`\\b(?:${["contract", "design", "style"].join("|")})\\.md`, "i");
    expect([...texts].filter(([, text]) => elsewhere.test(text)).map(([path]) => path)).toEqual([]);
  });
});

test.each(pages)("%s links to what is there", (page) => {
  const targets = [...prose(textOf(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string);
  // A path from the root is a page of a running server.
  const own = targets.filter((target) => !/^(?:[a-z]+:|\/)/.test(target));
  const dead = own.filter((target) => {
    const [path, anchor] = target.split("#") as [string, string?];
    const file = path === "" ? page : posix.join(posix.dirname(page), path);
    return !existsSync(root + file) || (anchor !== undefined && !anchorsOf(file).has(anchor));
  });
  expect(dead).toEqual([]);
  const files = [...textOf(page).matchAll(/`((?:[a-z]+\/)+[\w./-]+\.(?:ts|sql|json|conf|md))`/g)];
  expect(files.map(([, file]) => file as string).filter((file) => !existsSync(root + file))).toEqual([]);
});

test("docs/reference.md names every event", () => {
  const reference = textOf("docs/reference.md");
  expect(EVENT_TYPES.filter((type) => !reference.includes(`\`${type}\``))).toEqual([]);
});

test("docs/reference.md names every route", () => {
  // `GET`, `PATCH /tasks/{id}?limit=` names two routes; `POST /sync {wait?}` one.
  const named = [...textOf("docs/reference.md").matchAll(/((?:`[A-Z]+`, )*)`([A-Z]+) (\/[^`? ]*)/g)].flatMap(
    ([, before = "", method, path]) =>
      [...(before.match(/[A-Z]+/g) ?? []), method].map((each) => `${each} ${path}`),
  );
  const routes = ROUTES.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
  expect(routes.filter((route) => !named.includes(route))).toEqual([]);
});
