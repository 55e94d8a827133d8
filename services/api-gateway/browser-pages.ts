/**
 * The pages that are programs: the board at `/app` and the live events at `/events` (`web/`). A checkout bundles them when
 * one is asked for the first time; the image brings them bundled, without the bundler (`npm run web`, Dockerfile).
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Problem } from "../../core/errors.ts";
import { htmlDocument } from "./html.ts";
import { HTML, type MakePage, SCRIPT, STYLE } from "./page.ts";

/** `web/dist`, in the image. */
const BUNDLED = new URL("../../web/dist/", import.meta.url);

/** No inline script or style, no other host, and no text that becomes HTML. */
export const BROWSER_POLICY =
  "script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

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
const browserPage = (name: "app" | "events", title: string): string =>
  htmlDocument(
    title,
    `<meta name="color-scheme" content="light dark">
<meta name="theme-color" media="(prefers-color-scheme: light)" content="#ffffff">
<meta name="theme-color" media="(prefers-color-scheme: dark)" content="#1f1c19">
<link rel="icon" href="/app/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/app/${name}.css">
<script type="module" src="/app/${name}.js"></script>`,
    `<div id="app"></div>
<noscript><p>This page needs JavaScript.</p></noscript>`,
  );

const program =
  (name: "app" | "events", title: string): MakePage =>
  () => ({ type: HTML, content: browserPage(name, title), policy: BROWSER_POLICY });

const file =
  (type: string, name: string): MakePage =>
  async () => ({ type, content: await readBundled(name) });

/** The pages and their files, by path. */
export const browserPages: readonly [string, MakePage][] = [
  ["/app", program("app", "Taskwire")],
  ["/events", program("events", "Live events · Taskwire")],
  ["/app/icon.svg", () => ({ type: "image/svg+xml", content: ICON })],
  ...["app", "events", "guide"].flatMap((page): [string, MakePage][] => [
    [`/app/${page}.js`, file(SCRIPT, `${page}.js`)],
    [`/app/${page}.css`, file(STYLE, `${page}.css`)],
  ]),
];
