/** A real Chromium for tests: as many windows as wanted, each with its own cookies and storage. */
import { mkdir } from "node:fs/promises";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { findServer } from "../../local/find-server.ts";

/** Where tests put their screenshots; they are for people, and git has none of them. */
const SHOTS = new URL("../../.data/screenshots/", import.meta.url);

const OPTIONS = [
  "--no-sandbox",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The path of a screenshot. */
export const shotOf = (name: string): URL => new URL(`${name}.png`, SHOTS);

/** Starts Chromium: that of CHROMIUM or on PATH; Debian's is installed where it is missing. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = process.env["CHROMIUM"] ?? (await findServer("chromium", console.log));
  return chromium.launch({ executablePath, args: OPTIONS });
}

/** A page that fails its test by what it logs as an error, and by what its policy refuses. */
export interface Window {
  page: Page;
  context: BrowserContext;
  /** Errors so far. */
  faults: string[];
  /** A screenshot for people: `.data/screenshots/<name>.png`. */
  shoot: (name: string) => Promise<void>;
}

type ContextOptions = Parameters<Browser["newContext"]>[0];

/** @param expected errors that the test brings about: a request that fails while the network is away */
export async function openWindow(
  browser: Browser,
  url: string,
  options: ContextOptions = {},
  expected: RegExp = /Failed to load resource|ERR_|WebSocket/,
): Promise<Window> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !expected.test(message.text())) faults.push(message.text());
  });
  await page.goto(url);
  return {
    page,
    context,
    faults,
    async shoot(name) {
      await mkdir(SHOTS, { recursive: true });
      await page.screenshot({ path: shotOf(name).pathname });
    },
  };
}
