/**
 * The pages that are programs: the board at `/app` and the live events at `/events` (`web/`). A checkout bundles them when
 * one is asked for the first time; the image brings them bundled, without the bundler (`npm run web`, Dockerfile).
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { DEMO } from "../../core/demo.ts";
import { Problem } from "../../core/errors.ts";
import { html, htmlDocument } from "./html.ts";
import { HTML, type MakePage, SCRIPT, STYLE } from "./page.ts";

/** `web/dist`, in the image. */
const BUNDLED = new URL("../../web/dist/", import.meta.url);

/** No inline script or style, no other host, and no text that becomes HTML. */
const policyOf = (trustedTypes: string): string =>
  "script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  `require-trusted-types-for 'script'; trusted-types ${trustedTypes}`;
export const BROWSER_POLICY = policyOf("'none'");
/** web/app/offline.ts names its worker. */
const BOARD_POLICY = policyOf("taskwire-worker");

/** The one page that tells of the demo. */
export const BOARD_PATH = "/app";

let bundling: Promise<Map<string, Uint8Array>> | null = null;

async function bundleNow(): Promise<Map<string, Uint8Array>> {
  const { bundle } = await import("./bundle.ts").catch(() => {
    throw new Problem("not-found", "This installation has no bundle of its pages: npm run web makes it");
  });
  return bundle();
}

/**
 * A file of the bundle: `app.js`.
 * @throws Problem not-found where there is neither a bundle nor a bundler
 */
async function readBundled(name: string): Promise<Buffer> {
  if (existsSync(BUNDLED)) return readFile(new URL(name, BUNDLED));
  bundling ??= bundleNow();
  try {
    return Buffer.from((await bundling).get(name) as Uint8Array);
  } catch (error) {
    // A source that is mended is bundled again.
    bundling = null;
    throw error;
  }
}

/** Taskwire's mark, in copper. */
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" stroke="#c2571b" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"><path d="M1.5 8h3l2-4.5 3 9 2-4.5h3"/></svg>`;

/** The document of a program, which draws all that is in it. */
const browserPage = (name: "app" | "events", title: string, head = ""): string =>
  htmlDocument(
    title,
    `${head}<meta name="color-scheme" content="light dark">
<meta name="theme-color" media="(prefers-color-scheme: light)" content="#ffffff">
<meta name="theme-color" media="(prefers-color-scheme: dark)" content="#1f1c19">
<link rel="icon" href="/app/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/app/${name}.css">
<script type="module" src="/app/${name}.js"></script>`,
    `<div id="app"></div>
<noscript><p>This page needs JavaScript.</p></noscript>`,
  );

/** What web/app/door.tsx logs in with where somebody wants to see the demo. */
const DEMO_HEAD = `<meta name="demo" content="${html(JSON.stringify(DEMO))}">\n`;

const boardPage: MakePage = (_origin, hasDemo = false) => ({
  type: HTML,
  content: browserPage("app", "Taskwire", hasDemo ? DEMO_HEAD : ""),
  policy: BOARD_POLICY,
});
const eventsPage: MakePage = () => ({
  type: HTML,
  content: browserPage("events", "Live events · Taskwire"),
  policy: BROWSER_POLICY,
});

/** Other files make another worker: browsers compare its bytes. */
const worker: MakePage = async () => {
  const hash = createHash("sha256").update(browserPage("app", "Taskwire"));
  for (const name of ["app.js", "app.css"]) hash.update(await readBundled(name));
  const version = hash.digest("base64url").slice(0, 16);
  const code = (await readBundled("worker.js")).toString();
  // A worker's own policy holds for what it fetches.
  return { type: SCRIPT, content: `const VERSION = "${version}";\n${code}`, policy: "connect-src 'self'" };
};

const file =
  (type: string, name: string): MakePage =>
  async () => ({ type, content: await readBundled(name) });

/** The pages and their files, by path. */
export const browserPages: readonly [string, MakePage][] = [
  [BOARD_PATH, boardPage],
  ["/events", eventsPage],
  // At the root: a worker's scope is the folder that it lies in, and `/app` is no folder.
  ["/app-worker.js", worker],
  ["/app/icon.svg", () => ({ type: "image/svg+xml", content: ICON })],
  ...["app", "events", "guide"].flatMap((page): [string, MakePage][] => [
    [`/app/${page}.js`, file(SCRIPT, `${page}.js`)],
    [`/app/${page}.css`, file(STYLE, `${page}.css`)],
  ]),
];
