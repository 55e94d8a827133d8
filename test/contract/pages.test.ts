import { type IncomingMessage, request } from "node:http";
import { buffer } from "node:stream/consumers";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { PROBLEMS } from "../../core/errors.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { expectCommonHeaders, expectProblem, send } from "./support.ts";

/** One that may have the API's answers, with credentials. */
const ORIGIN = "https://app.example.com";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode({ CORS_ORIGINS: [ORIGIN] });
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
  ["/guide", "text/plain; charset=utf-8"],
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

  test("is read by pages of any origin, which ask first or do not", async () => {
    const Origin = "https://editor.example.com";
    for (const origin of [Origin, ORIGIN]) {
      const { headers } = await fetchPage(path, { Origin: origin });
      expect(headers.get("access-control-allow-origin")).toBe("*");
      expect(headers.get("access-control-allow-credentials")).toBeNull();
      expect(headers.get("cross-origin-resource-policy")).toBe("cross-origin");
    }
    const asked = { Origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-a" };
    const preflight = await fetchPage(path, asked, "OPTIONS");
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
    expect(preflight.headers.get("access-control-allow-methods")).toBe("GET,HEAD");
    expect(preflight.headers.get("access-control-allow-headers")).toBe("x-a");
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

describe("compression", () => {
  const raw = async (headers: Record<string, string>): Promise<[Headers, Buffer]> => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    request(`${node.url}/openapi.json`, { headers, agent: false }, resolve).on("error", reject).end();
    const incoming = await promise;
    const fields = Object.entries(incoming.headers).map(([name, value]): [string, string] => [
      name,
      String(value),
    ]);
    return [new Headers(fields), await buffer(incoming)];
  };

  test.each([
    ["gzip, br;q=0.9, deflate", "gzip"],
    ["gzip, deflate, br", "br"],
    ["gzip, deflate", "gzip"],
    ["br;q=0, gzip;q=0", null],
    ["zstd", null],
  ])("for %j is %s", async (accepted, expected) => {
    const [plain, whole] = await raw({});
    const [headers, body] = await raw({ "Accept-Encoding": accepted });
    expect(headers.get("content-encoding")).toBe(expected);
    expect(headers.get("vary")).toMatch(/accept-encoding/i);
    expect(plain.get("vary")).toMatch(/accept-encoding/i);
    expect(Number(headers.get("content-length"))).toBe(body.length);
    const unpack = { br: brotliDecompressSync, gzip: gunzipSync }[expected ?? ""] ?? ((same: Buffer) => same);
    expect(unpack(body).equals(whole)).toBe(true);
    if (expected !== null) {
      expect(body.length * 8).toBeLessThan(whole.length);
      // A representation of its own, with a tag of its own.
      expect(headers.get("etag")).not.toBe(plain.get("etag"));
    }
    const again = await fetchPage("/openapi.json", {
      "Accept-Encoding": accepted,
      "If-None-Match": headers.get("etag") as string,
    });
    expect([again.status, again.headers.get("etag")]).toEqual([304, headers.get("etag")]);
  });
});

test("the guide's examples call the server that serves it", async () => {
  const { body } = await fetchPage("/guide");
  expect(body).toContain(`curl -X POST http://127.0.0.1:${node.config.PORT}/api/v1/auth/register`);
  expect(body).not.toContain("127.0.0.1:3000");
});
