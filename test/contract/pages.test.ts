import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { PROBLEMS } from "../../core/errors.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { expectCommonHeaders, expectProblem, send } from "./support.ts";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node?.stop());

const fetchPage = (path: string, headers: Record<string, string> = {}, method = "GET") =>
  send(node.url, { method, path, headers });

const PAGES = [
  ["/docs", "text/html; charset=utf-8"],
  ["/docs/bundle.js", "text/javascript; charset=utf-8"],
  ["/docs/style.css", "text/css; charset=utf-8"],
  ["/docs/start.js", "text/javascript; charset=utf-8"],
  ["/redoc", "text/html; charset=utf-8"],
  ["/redoc/bundle.js", "text/javascript; charset=utf-8"],
  ["/redoc/start.js", "text/javascript; charset=utf-8"],
  ["/problems", "text/html; charset=utf-8"],
  ["/openapi.json", "application/json; charset=utf-8"],
];

describe.each(PAGES)("%s", (path, type) => {
  test("is served, and again only when it has changed", async () => {
    const first = await fetchPage(path);
    expect([first.status, first.headers.get("content-type")]).toEqual([200, type]);
    expectCommonHeaders(first);
    const etag = first.headers.get("etag") as string;
    const second = await fetchPage(path, { "If-None-Match": `"other", W/${etag}` });
    expect([second.status, second.body, second.headers.get("etag")]).toEqual([304, null, etag]);
  });

  test("wants tags that can be read", async () => {
    expectProblem(await fetchPage(path, { "If-None-Match": "other" }), 400, "malformed-request");
  });

  test("has a HEAD without a body", async () => {
    const [get, head] = [await fetchPage(path), await fetchPage(path, {}, "HEAD")];
    expect([head.status, head.body]).toEqual([200, null]);
    expect(head.headers.get("content-length")).toBe(get.headers.get("content-length"));
  });

  test("may load nothing from another host", async () => {
    const policy = (await fetchPage(path)).headers.get("content-security-policy");
    expect(policy).toMatch(/^default-src 'none'; /);
    expect(policy).not.toMatch(/https?:|\*|unsafe-eval|script-src[^;]*unsafe/);
  });
});

test("pages refer to nothing outside", async () => {
  for (const path of ["/docs", "/redoc", "/problems"])
    expect((await fetchPage(path)).body).not.toMatch(/(src|href)="(https?:)?\/\//);
  // Its maker's logo: where this fails after an upgrade, see REDOC_LOGO in pages.ts.
  expect((await fetchPage("/redoc/bundle.js")).body).not.toMatch(/cdn\.redoc|src:"https?:/);
});

test.each(Object.entries(PROBLEMS))("/problems/%s explains it", async (code, { title, status }) => {
  const { status: answered, body } = await fetchPage(`/problems/${code}`);
  expect(answered).toBe(200);
  for (const part of [title, `Status ${status}`, `/problems/${code}`]) expect(body).toContain(part);
});

test("a slash at the end and a query make no difference", async () => {
  expect((await fetchPage("/docs/?x=1")).status).toBe(200);
  expect((await fetchPage("/problems/not-found/")).status).toBe(200);
});

test("other methods are 405, and OPTIONS says which there are", async () => {
  const answer = await fetchPage("/docs", {}, "POST");
  expectProblem(answer, 405, "method-not-allowed");
  expect(answer.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
  const options = await fetchPage("/docs", {}, "OPTIONS");
  expect([options.status, options.headers.get("allow")]).toEqual([204, "GET, HEAD, OPTIONS"]);
});

test.each([
  "/problems/nonsense",
  "/docs/package.json",
  "/docs/../package.json",
  "/redoc/%2e%2e/x",
  "/api/v1/docs",
  "/api/v1/openapi.json",
])("%s is not there", async (path) => {
  expectProblem(await fetchPage(path), 404, "not-found");
});
