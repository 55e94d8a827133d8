/** The site of `npm run docs` in a real Chromium, by a plain file server and below a path. */
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Browser } from "playwright-core";
import { buildSite } from "../../scripts/docs.ts";
import { openWindow, startBrowser } from "../support/browser.ts";

/** Chromium may have to be installed first. */
const START_MS = 240_000;
const BELOW = "/some/where/";
const TYPES: Record<string, string> = {
  html: "text/html",
  js: "text/javascript",
  css: "text/css",
  json: "application/json",
  svg: "image/svg+xml",
};

let folder: string;
let browser: Browser;
const server: Server = createServer((request, response) => {
  const name = (request.url ?? "").replace(BELOW, "").replace(/^$/, "index.html");
  readFile(join(folder, name)).then(
    (content) => response.setHeader("Content-Type", TYPES[name.split(".")[1] ?? ""] ?? "").end(content),
    () => response.writeHead(404).end(),
  );
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "taskwire-site-"));
  const listening = once(server.listen(0, "127.0.0.1"), "listening");
  [browser] = await Promise.all([startBrowser(), buildSite(pathToFileURL(`${folder}/`), null), listening]);
}, START_MS);
afterAll(async () => {
  await browser?.close();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

test("the search finds a part by its words and goes there; nothing is missing, and the policy refuses nothing", async () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${BELOW}`;
  const { page, faults } = await openWindow(browser, url, {}, /^$/);
  await page.keyboard.press("/");
  await page.keyboard.type("idempotency");
  await page.getByRole("option").first().waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/some\/where\/[\w-]+\.html#.*idempoten/);
  await page.getByRole("link", { name: "Realtime" }).first().click();
  await page.getByRole("heading", { level: 1, name: "Realtime" }).waitFor();
  expect(faults).toEqual([]);
});
