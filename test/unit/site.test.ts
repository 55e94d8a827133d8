/** `npm run docs`: the site that it writes holds together, wherever it lies. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { PROBLEMS } from "../../core/errors.ts";
import { buildSite } from "../../scripts/docs.ts";
import { GUIDE } from "../../services/api-gateway/guide-menu.ts";
import { type Entry, find, wordsOf } from "../../web/guide/find.ts";

const SOURCES = "https://git.example.com/taskwire/blob/main";

let folder: string;
const files = new Map<string, string>();
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "taskwire-site-"));
  await buildSite(pathToFileURL(`${folder}/`), SOURCES);
  for (const name of await readdir(folder)) files.set(name, await readFile(join(folder, name), "utf8"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const pages = (): [string, string][] => [...files].filter(([name]) => name.endsWith(".html"));
/** What a page refers to: `href`, `src`, and what its search reads. */
const targetsOf = (page: string): string[] =>
  [...page.matchAll(/<[^>]*? (?:href|src|data-entries)="([^"]*)"/g)].map(([, target]) => target as string);
const isOutside = (target: string): boolean => /^[a-z]+:/.test(target);
const isThere = (from: string, target: string): boolean => {
  const [path, anchor] = target.split("#") as [string, string?];
  const text = files.get(path === "" ? from : path);
  // The reader of the API's document draws its parts itself.
  return (
    text !== undefined && (anchor === undefined || path === "api.html" || text.includes(` id="${anchor}"`))
  );
};

test("has each page of the guide, and the API, the events and the problems", () => {
  expect(files.size).toBeGreaterThan(GUIDE.length + Object.keys(PROBLEMS).length);
  for (const name of [
    "index.html",
    "rest.html",
    "realtime.html",
    "guarantees.html",
    "api.html",
    "events.html",
  ])
    expect(files.get(name)).toContain("<!doctype html>");
  expect(files.get("problem-not-found.html")).toContain("Status 404");
});

test("has each file and each part that a page leads to, by paths that hold below any other", () => {
  const inside = pages().flatMap(([name, page]) =>
    targetsOf(page)
      .filter((target) => !isOutside(target))
      .map((target) => ({ name, target })),
  );
  expect(inside.length).toBeGreaterThan(1000);
  expect(inside.filter(({ name, target }) => !isThere(name, target))).toEqual([]);
});

test("finds parts that are there", () => {
  const entries = JSON.parse(files.get("search.json") ?? "[]") as { href: string; text: string }[];
  expect(entries.length).toBeGreaterThan(300);
  expect(entries.filter(({ href }) => !isThere("search.json", href))).toEqual([]);
});

test.each([
  ["how do I create a project", "api.html#tag/projects/operation/projectsCreate"],
  ["illegal-transition", "problem-illegal-transition.html"],
  ["member_added", "events.html#member_added"],
  ["idempotency", "rest.html#idempotency"],
  ["install the sdk", "index.html#3-get-the-sdk"],
  ["rate limits", "reference.html#rate-limits"],
  ["backup", "operations.html#backup-and-restore"],
])("who looks for %j finds it first", (query, href) => {
  const entries = JSON.parse(files.get("search.json") ?? "[]") as Entry[];
  expect(find(entries, wordsOf(query))[0]?.href).toBe(href);
});

test("loads nothing from another host, and is not allowed to", () => {
  for (const [name, page] of pages()) {
    const loaded = [...page.matchAll(/<(?:link|script|img|iframe)[^>]*? (?:href|src)="([^"]*)"/g)];
    expect([name, loaded.filter(([, target]) => /^(?!data:)[a-z]+:|^\//.test(target as string))]).toEqual([
      name,
      [],
    ]);
    expect(page).toContain(`http-equiv="Content-Security-Policy" content="default-src 'none'; `);
  }
  expect(files.get("guide.css")).not.toMatch(/url\(|@import/);
});

test("leads to the repository's files where it is told where they are, and to no page of a running server", () => {
  const outside = pages().flatMap(([, page]) => targetsOf(page).filter(isOutside));
  const sources = outside.filter((target) => target.startsWith(SOURCES));
  expect(sources).toContain(`${SOURCES}/core/errors.ts`);
  for (const [, page] of pages()) expect(page).not.toMatch(/ (?:href|src)="\//);
});
