import { type IncomingMessage, request } from "node:http";
import { buffer } from "node:stream/consumers";
import { runInNewContext } from "node:vm";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { PROBLEMS } from "../../core/errors.ts";
import { until } from "../../local/until.ts";
import { openDatabase as openPool } from "../../mixins/database.ts";
import { issueOneTimeToken } from "../../services/auth/one-time-tokens.commands.ts";
import type { Purpose } from "../../services/auth/one-time-tokens.queries.ts";
import type { Person } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { expectCommonHeaders, expectProblem } from "../support/expectations.ts";
import { send } from "../support/raw-http.ts";

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
  ["/app", "text/html; charset=utf-8"],
  ["/app/app.js", "text/javascript; charset=utf-8"],
  ["/app/app.css", "text/css; charset=utf-8"],
  ["/app/events.js", "text/javascript; charset=utf-8"],
  ["/app/events.css", "text/css; charset=utf-8"],
  ["/app/icon.svg", "image/svg+xml"],
  ["/app-worker.js", "text/javascript; charset=utf-8"],
  ["/docs", "text/html; charset=utf-8"],
  ["/docs/bundle.js", "text/javascript; charset=utf-8"],
  ["/docs/style.css", "text/css; charset=utf-8"],
  ["/docs/start.js", "text/javascript; charset=utf-8"],
  ["/redoc", "text/html; charset=utf-8"],
  ["/redoc/bundle.js", "text/javascript; charset=utf-8"],
  ["/redoc/start.js", "text/javascript; charset=utf-8"],
  ["/problems", "text/html; charset=utf-8"],
  ["/verify-email", "text/html; charset=utf-8"],
  ["/reset-password", "text/html; charset=utf-8"],
  ["/links/start.js", "text/javascript; charset=utf-8"],
  ["/links/style.css", "text/css; charset=utf-8"],
  ["/openapi.json", "application/json; charset=utf-8"],
  ["/docs/events", "text/html; charset=utf-8"],
  ["/docs/client", "text/plain; charset=utf-8"],
  ["/asyncapi.json", "application/json; charset=utf-8"],
  ["/guide", "text/html; charset=utf-8"],
  ["/guide/reference", "text/html; charset=utf-8"],
  ["/guide/search.json", "application/json; charset=utf-8"],
  ["/guide.md", "text/plain; charset=utf-8"],
  ["/guide/rest.md", "text/plain; charset=utf-8"],
  ["/app/guide.js", "text/javascript; charset=utf-8"],
  ["/app/guide.css", "text/css; charset=utf-8"],
];

test("/docs/events shows each message of the AsyncAPI document, and each of its links within leads somewhere", async () => {
  const { body: page } = await fetchPage("/docs/events");
  const { body: document } = await fetchPage("/asyncapi.json");
  const places = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
  const { messages } = document.components;
  expect(Object.keys(messages).filter((name) => !places.has(name))).toEqual([]);
  const targets = [...page.matchAll(/href="([^"]+)"/g)].map(([, target]) => target as string);
  const inside = targets.filter((target) => target.startsWith("#"));
  expect(inside.filter((target) => !places.has(target.slice(1)))).toEqual([]);
});

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

test("/app offers the demo where its account is there", async () => {
  const offer = '<meta name="demo" content="{&quot;login&quot;:&quot;demo-owner&quot;';
  expect((await fetchPage("/app")).body).not.toContain("demo-owner");
  const account = { email: "demo-owner@example.com", username: "demo-owner", password: "demo demo demo" };
  await node.api.must("POST", "/auth/register", account);
  expect((await fetchPage("/app")).body).toContain(offer);
});

test("pages refer to nothing outside", async () => {
  for (const path of ["/docs", "/redoc", "/problems", "/verify-email", "/reset-password"])
    expect((await fetchPage(path)).body).not.toMatch(/(src|href)="(https?:)?\/\//);
  // Its maker's logo: where this fails after an upgrade, see REDOC_LOGO in web-pages.ts.
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

test("each link and each search result of the guide leads to a part that is there", async () => {
  const found = (await fetchPage("/guide/search.json")).body as { href: string }[];
  const pages = new Map<string, string>();
  const pageAt = async (path: string): Promise<string> => {
    const page = pages.get(path) ?? String((await fetchPage(path)).body);
    pages.set(path, page);
    return page;
  };
  const paths = new Set(found.map(({ href }) => href.split("#")[0] as string));
  // The problems are one page with other words, and have a test each.
  for (const path of paths)
    if (path.startsWith("/problems/") && path !== "/problems/not-found") paths.delete(path);
  expect(paths.size).toBeGreaterThan(6);
  const targets = new Set(
    found.map(({ href }) => href).filter((href) => paths.has(href.split("#")[0] as string)),
  );
  for (const path of paths)
    for (const [, href] of (await pageAt(path)).matchAll(/ href="([^"]+)"/g))
      if (/^[#/]/.test(href as string))
        targets.add(href?.startsWith("#") ? `${path}${href}` : (href as string));
  const missing: string[] = [];
  for (const target of targets) {
    const [path = "", anchor] = target.split("#");
    const isThere =
      anchor === undefined || path === "/redoc"
        ? (
            await fetch(`${node.url}${path}`, {
              headers: { Accept: "text/html,*/*;q=0.1", Connection: "close" },
            })
          ).ok
        : (await pageAt(path)).includes(` id="${anchor}"`);
    if (!isThere) missing.push(target);
  }
  expect(missing).toEqual([]);
});

test.each([
  ["/guide", "curl -s -X POST ", "/auth/register"],
  ["/guide.md", "curl -s -X POST ", "/auth/register"],
  ["/guide/realtime", 'io("', '"'],
  ["/guide/realtime.md", 'io("', '"'],
])("the examples of %s call the server that serves it", async (path, before, after) => {
  const { body } = await fetchPage(path);
  expect(body).toContain(`${before}http://127.0.0.1:${node.config.PORT}${after}`);
  expect(body).not.toContain("127.0.0.1:3000");
});

describe("where a mailed link leads", () => {
  /** As much of a browser's document as the page's script uses, filled from the page that is served. */
  class Element {
    textContent = "";
    className = "";
    value = "";
    hidden: boolean;
    disabled = false;
    readonly dataset: Record<string, string>;
    readonly #listeners: Record<string, (event: object) => void> = {};

    constructor(tag: string) {
      this.hidden = / hidden(?=[ >])/.test(tag);
      this.dataset = Object.fromEntries(
        [...tag.matchAll(/ data-([a-z]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
      );
    }
    focus() {}
    addEventListener(type: string, listener: (event: object) => void) {
      this.#listeners[type] = listener;
    }
    dispatch(type: string) {
      this.#listeners[type]?.({ preventDefault() {}, target: this });
    }
    querySelector = (_selector: string): Element => this.button;
    button!: Element;
  }

  /** Opens a link of a mail as a browser would. */
  async function open(path: string, fragment: string, address = node.url) {
    const { body } = await fetchPage(path);
    const tagOf = (pattern: RegExp): Element | null => {
      const [tag] = pattern.exec(body as string) ?? [];
      return tag === undefined ? null : new Element(tag);
    };
    const byId = new Map(
      ["password", "show", "outcome"].map((id) => [id, tagOf(new RegExp(`<[a-z]+ id="${id}"[^>]*>`))]),
    );
    const form = tagOf(/<form[^>]*>/) as Element;
    form.button = tagOf(/<button[^>]*>/) as Element;
    const replaced: string[] = [];
    const page = {
      location: { hash: fragment, pathname: path },
      history: { replaceState: (_state: null, _title: string, url: string) => replaced.push(url) },
      document: { querySelector: () => form, getElementById: (id: string) => byId.get(id) },
      fetch: (url: string, options: RequestInit) => fetch(`${address}${url}`, options),
      URLSearchParams,
    };
    runInNewContext((await fetchPage("/links/start.js")).body as string, page);
    const outcome = byId.get("outcome") as Element;
    const settled = async (): Promise<[text: string, kind: string]> => {
      expect(await until(() => ["good", "bad"].includes(outcome.className), 5000)).toBe(true);
      return [outcome.textContent, outcome.className];
    };
    const submit = (password: string) => {
      (byId.get("password") as Element).value = password;
      outcome.className = "";
      form.dispatch("submit");
      return settled();
    };
    return { form, replaced, settled, submit };
  }

  const linkOf = async (person: Person, purpose: Purpose): Promise<string> => {
    const db = openPool(node.config, () => {});
    try {
      // The mail of the registration is none of this test.
      await db.query({ text: "DELETE FROM auth.mail_budgets WHERE user_id = $1", values: [person.id] });
      return (await issueOneTimeToken(db, purpose, person)) as string;
    } finally {
      await db.close();
    }
  };

  test("/verify-email confirms the address once, and the token leaves the address bar", async () => {
    const ada = await node.api.person("ada");
    const token = await linkOf(ada, "verify_email");
    const first = await open("/verify-email", `#token=${token}`);
    expect(first.replaced).toEqual(["/verify-email"]);
    expect(await first.settled()).toEqual([
      expect.stringMatching(/^Your e-mail address is confirmed/),
      "good",
    ]);
    expect((await ada.api.get("/auth/me")).body.is_verified).toBe(true);
    const second = await open("/verify-email", `#token=${token}`);
    expect(await second.settled()).toEqual([expect.stringMatching(/^This link is not valid/), "bad"]);
    expect(second.form.hidden).toBe(true);
  });

  test("/reset-password takes a new password, says what is wrong with one, and sets it", async () => {
    const ada = await node.api.person("ada");
    const page = await open("/reset-password", `#token=${await linkOf(ada, "reset_password")}`);
    expect(page.form.hidden).toBe(false);
    expect(await page.submit("password1")).toEqual([expect.stringMatching(/most common/), "bad"]);
    expect(page.form.hidden).toBe(false);
    expect(await page.submit("a new and better one")).toEqual([
      expect.stringMatching(/^Your new password is set/),
      "good",
    ]);
    const login = { login: ada.username, password: "a new and better one" };
    expect((await node.api.post("/auth/login", login)).status).toBe(200);
  });

  test.each(["/verify-email", "/reset-password"])(
    "%s without its token asks for the whole link",
    async (path) => {
      const { settled, form } = await open(path, "");
      expect(await settled()).toEqual([expect.stringMatching(/^This link is incomplete/), "bad"]);
      expect(form.hidden).toBe(true);
    },
  );

  test("a server that can't be reached leaves the way to try again", async () => {
    const page = await open("/verify-email", "#token=x", "http://127.0.0.1:1");
    expect(await page.settled()).toEqual([expect.stringMatching(/can't be reached/), "bad"]);
    expect([page.form.hidden, page.form.button.hidden]).toEqual([false, false]);
  });

  test("everything that runs or looks is a file of its own: nothing stands in the page", async () => {
    for (const path of ["/verify-email", "/reset-password"]) {
      const { body, headers } = await fetchPage(path);
      expect(headers.get("content-security-policy")).toMatch(/script-src 'self'; style-src 'self';/);
      expect(body).not.toMatch(/<style|<script(?! src="\/links\/start\.js"><\/script>)| on[a-z]+=| style=/);
    }
  });
});
