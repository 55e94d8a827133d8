/**
 * The gateway's pages for people: the API's document in two readers, the events, an explanation of each problem, and the
 * pages that mailed links lead to. They are served at the root alone; their Content-Security-Policy allows nothing of other hosts.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import cors from "cors";
import Negotiator from "negotiator";
import { Problem, type ProblemCode, PROBLEMS } from "../../core/errors.ts";
import { pathOf } from "../../mixins/ops-pages.ts";
import { BOARD_PATH, browserPages } from "./browser-pages.ts";
import { isFresh } from "./conditional.ts";
import { type EventsDocument, eventsPage } from "./events-page.ts";
import { asText, framed, guidePages } from "./guide-pages.ts";
import { html, htmlDocument, jsonBlock } from "./html.ts";
import { LINK_HEAD, LINK_POLICY, linkPages, readLinkScript, readLinkStyle } from "./mail-link-pages.ts";
import { HTML, JSON_TYPE, type MakePage, type Page, SCRIPT, STYLE } from "./page.ts";
import { problemExample } from "./problem-example.ts";
import { handOver, type Middleware, type Request, writeHead } from "./gateway-request.ts";
import { vary } from "./response-head.ts";

const packages = createRequire(import.meta.url);
const fromPackage = (file: string): Promise<Buffer> => readFile(packages.resolve(file));

/** A reader of the document: its bundle, and a script that starts it, since the policy allows no inline script. */
const reader = (title: string, base: string, head = ""): Page => ({
  type: HTML,
  content: htmlDocument(
    title,
    `<style>body { margin: 0; }</style>${head}`,
    `<div id="reader"></div>\n<script src="${base}/bundle.js"></script>\n<script src="${base}/start.js"></script>`,
  ),
  // Both readers set styles by script; ReDoc searches in a worker of its own.
  policy:
    "script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; worker-src blob:",
});

const START_SWAGGER = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#reader", deepLinking: true, validatorUrl: null });\n`;
const START_REDOC = `Redoc.init("/openapi.json", {}, document.getElementById("reader"));\n`;

/** ReDoc would load this logo from another host. */
const REDOC_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg";
const withoutLogo = (bundle: Buffer): string =>
  bundle
    .toString()
    .replaceAll(REDOC_LOGO, "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E");

function aboutProblem(code: ProblemCode): Page {
  const { status, title, explain } = PROBLEMS[code];
  return framed(
    `/problems/${code}`,
    title,
    `<p class="status">Status ${status} · <code>${code}</code></p>
<h1>${html(title)}</h1>
<p>${html(explain)}</p>
${jsonBlock(problemExample(code))}
<p><a href="/problems">All problems</a> · <a href="/docs">The API</a></p>`,
  );
}

function allProblems(): Page {
  const rows = Object.entries(PROBLEMS).map(
    ([code, { status, title }]) =>
      `<tr><td class="status">${status}</td><td><a href="/problems/${code}">${html(title)}</a></td></tr>`,
  );
  return framed(
    "/problems",
    "Problems",
    `<h1>Problems</h1>
<p>Every error response is a problem document (RFC 9457). Its <code>type</code> is one of these.</p>
<table>\n${rows.join("\n")}\n</table>
<p><a href="/docs">The API</a></p>`,
  );
}

const asset = (type: string, file: string, change: (content: Buffer) => string | Buffer = (same) => same) =>
  (async () => ({ type, content: change(await fromPackage(file)) })) satisfies MakePage;

const fromDocs = (file: string): URL => new URL(`../../docs/${file}`, import.meta.url);
const json = (file: string) =>
  (async () => ({
    type: JSON_TYPE,
    content: await readFile(fromDocs(file)),
  })) satisfies MakePage;
/** The pages and their files, by path. */
export const PAGES = new Map<string, MakePage>([
  ...browserPages,
  ["/openapi.json", json("openapi.json")],
  ["/asyncapi.json", json("asyncapi.json")],
  ["/docs", () => reader("Taskwire API", "/docs", '<link rel="stylesheet" href="/docs/style.css">')],
  ["/docs/style.css", asset(STYLE, "swagger-ui-dist/swagger-ui.css")],
  ["/docs/bundle.js", asset(SCRIPT, "swagger-ui-dist/swagger-ui-bundle.js")],
  ["/docs/start.js", () => ({ type: SCRIPT, content: START_SWAGGER })],
  ["/redoc", () => reader("Taskwire API", "/redoc")],
  ["/redoc/bundle.js", asset(SCRIPT, "redoc/bundles/redoc.standalone.js", withoutLogo)],
  ["/redoc/start.js", () => ({ type: SCRIPT, content: START_REDOC })],
  ...guidePages(null),
  ["/docs/client", asText("docs/write-a-client.md")],
  [
    "/docs/events",
    async () => {
      const document = JSON.parse(await readFile(fromDocs("asyncapi.json"), "utf8")) as EventsDocument;
      return eventsPage(document);
    },
  ],
  ["/problems", allProblems],
  ...linkPages.map(({ path, title, body }): [string, MakePage] => [
    path,
    () => ({ type: HTML, content: htmlDocument(title, LINK_HEAD, body), policy: LINK_POLICY }),
  ]),
  ["/links/start.js", async () => ({ type: SCRIPT, content: await readLinkScript() })],
  ["/links/style.css", async () => ({ type: STYLE, content: await readLinkStyle() })],
  ...Object.keys(PROBLEMS).map((code): [string, MakePage] => [
    `/problems/${code}`,
    () => aboutProblem(code as ProblemCode),
  ]),
]);

/** A higher quality takes seconds for the readers' bundles, and saves only 5 % more. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };
/** Encodings of a page, the better one first. */
const ENCODINGS = { br: promisify(brotliCompress), gzip: promisify(gzip), identity: null } as const;
type Encoding = keyof typeof ENCODINGS;

interface Ready {
  bodies: Record<Encoding, Buffer>;
  headers: Record<string, string>;
  etag: string;
}

/** The encodings that a client accepts, its favourite first; among equal ones the better one. */
const encodingsOf = (request: IncomingMessage): Encoding[] => {
  // @types/negotiator describes an older version, where `encodings` has no second argument.
  const negotiator = new Negotiator(request) as unknown as {
    encodings(available: readonly string[], options: { preferred: readonly string[] }): Encoding[];
  };
  return negotiator.encodings(Object.keys(ENCODINGS), { preferred: Object.keys(ENCODINGS) });
};

const EXPOSED = ["ETag", "X-Request-ID", "X-Process-Time"];
/** Pages are public and the same for every reader, so every origin may read them: editors of the document, for example. */
const SHARED_WITH_ALL = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Expose-Headers": EXPOSED.join(","),
};
const answerOptions = cors({
  origin: "*",
  methods: ["GET", "HEAD"],
  exposedHeaders: EXPOSED,
  maxAge: 600,
}) as Middleware;

/** Each page is made once, on its first request. */
const ready = new Map<string, Promise<Ready>>();

async function makeReady(make: MakePage, origin: string, hasDemo: boolean): Promise<Ready> {
  const { type, content, policy } = await make(origin, hasDemo);
  const identity = Buffer.from(content);
  const [br, zipped] = await Promise.all([ENCODINGS.br(identity, BROTLI), ENCODINGS.gzip(identity)]);
  return {
    bodies: { br, gzip: zipped, identity },
    etag: createHash("sha256").update(identity).digest("base64url").slice(0, 22),
    headers: {
      "Content-Type": type,
      "Cross-Origin-Resource-Policy": "cross-origin",
      "Content-Security-Policy": [
        "default-src 'none'",
        policy,
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      ]
        .filter((part) => part !== undefined)
        .join("; "),
      // Browsers revalidate the page each time: an upgrade shows at once.
      "Cache-Control": "no-cache",
    },
  };
}

/** A page for people and, at the same path, a resource of the API: a browser prefers HTML, a client does not ask for it. */
const isShared = (path: string): boolean => path === "/events";
const prefersHtml = (request: IncomingMessage): boolean =>
  (request.method === "GET" || request.method === "HEAD") &&
  new Negotiator(request).mediaType(["application/json", "text/html"]) === "text/html";

/** What makes the page that a request asks for; undefined for the API's. */
const pageFor = (request: IncomingMessage): MakePage | undefined => {
  const path = pathOf(request);
  return isShared(path) && !prefersHtml(request) ? undefined : PAGES.get(path);
};

/** Whether a request asks for a page at a path where the API has a resource, too. */
export const prefersPage = (request: IncomingMessage): boolean =>
  isShared(pathOf(request)) && prefersHtml(request);

/** Whether a request asks for one of these pages. */
export const isPage = (request: IncomingMessage): boolean =>
  pathOf(request) === "/" || pageFor(request) !== undefined;

/**
 * Serves a page.
 * @param findDemo says whether the demo's accounts are there
 * @returns whether the request was for a page
 * @throws Problem method-not-allowed; malformed-request for an invalid If-None-Match; not-found for an unknown problem code
 */
export async function servePage(
  request: Request,
  response: ServerResponse,
  origin: string,
  findDemo: () => Promise<boolean>,
): Promise<boolean> {
  const { head, method } = request;
  const path = pathOf(request);
  const make = pageFor(request);
  if (isShared(path)) vary(head, "Accept");
  if (path === "/" && (method === "GET" || method === "HEAD")) {
    head.Location = "/app";
    writeHead(request, response, 303);
    response.end();
    return true;
  }
  if (make === undefined) {
    if (path.startsWith("/problems/"))
      throw new Problem("not-found", "There is no problem with the code in this path");
    return false;
  }
  // A listed origin may send credentials to the API, and not to pages, which allow `*` (docs/reference.md, Cookie mode).
  delete head["Access-Control-Allow-Credentials"];
  if (method === "OPTIONS") {
    head.Allow = "GET, HEAD, OPTIONS";
    handOver(request, response, 204);
    // The middleware ends OPTIONS itself, preflight or not.
    answerOptions(request, response, () => {});
    return true;
  }
  Object.assign(head, SHARED_WITH_ALL);
  if (method !== "GET" && method !== "HEAD")
    throw new Problem("method-not-allowed", `This resource does not support ${method}, only GET, HEAD`, {
      headers: { Allow: "GET, HEAD, OPTIONS" },
    });
  const hasDemo = path === BOARD_PATH && (await findDemo());
  const key = `${path} ${origin} ${hasDemo}`;
  const making = ready.get(key) ?? makeReady(make, origin, hasDemo);
  ready.set(key, making);
  const { bodies, headers, etag } = await making.catch((error: unknown) => {
    ready.delete(key);
    throw error;
  });
  const accepted = encodingsOf(request);
  // A page that compression does not shorten is sent as it is.
  const encoding = accepted.find((one) => bodies[one].length <= bodies.identity.length) ?? "identity";
  // Each encoding is a representation of its own (RFC 9110 §8.8.3.3).
  const tag = encoding === "identity" ? `"${etag}"` : `"${etag}-${encoding}"`;
  const isKnown = isFresh(request.headers["if-none-match"], tag);
  Object.assign(head, headers, { ETag: tag });
  vary(head, "Accept-Encoding");
  if (isKnown) {
    delete head["Content-Type"];
    writeHead(request, response, 304);
    response.end();
    return true;
  }
  if (encoding !== "identity") head["Content-Encoding"] = encoding;
  head["Content-Length"] = String(bodies[encoding].length);
  writeHead(request, response, 200);
  response.end(method === "HEAD" ? undefined : bodies[encoding]);
  return true;
}
