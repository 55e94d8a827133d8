/**
 * `npm run picture -- [http://127.0.0.1:3000]`: draws docs/board.png, the README's picture, from the demo of a running
 * system (`npm start -- --demo`), and screenshots of all pages into `.data/screenshots`, to be looked at after a change:
 * wide and on a phone, light and dark.
 */
import { copyFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { explain } from "../core/explain.ts";
import { taskwireUrl } from "../core/origin.ts";
import { openWindow, shotOf, startBrowser } from "../test/support/browser.ts";

const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } } as const;
const BOARD = "Website relaunch";

async function openBoard(page: Page): Promise<void> {
  await page.getByRole("link", { name: BOARD }).click();
  await page.locator(".presence", { hasText: "Live" }).waitFor();
  await page.locator(".card").first().waitFor();
}

async function shootAll(url: string): Promise<void> {
  const browser = await startBrowser();
  try {
    for (const [size, viewport] of Object.entries(SIZES))
      for (const colorScheme of ["light", "dark"] as const) {
        const window = await openWindow(browser, `${url}/app`, {
          viewport,
          colorScheme,
          deviceScaleFactor: 2,
          ...(size === "phone" && { hasTouch: true, isMobile: true }),
        });
        const { page, context } = window;
        const shot = (name: string): Promise<void> => window.shoot(`${name}-${size}-${colorScheme}`);
        await page.getByRole("heading", { name: "Log in" }).waitFor();
        await shot("door");
        await page.getByRole("button", { name: "Enter the demo" }).click();
        await page.getByRole("link", { name: BOARD }).waitFor();
        await shot("projects");
        await openBoard(page);
        await page.mouse.move(0, 0);
        await shot("board");
        await page.getByRole("button", { name: "Activity" }).click();
        await page.locator(".feed li").first().waitFor();
        await shot("activity");
        await page.getByRole("button", { name: "Close activity" }).click();
        await page.getByRole("button", { name: "People" }).click();
        await shot("people");
        await page.getByRole("button", { name: "Close people" }).click();
        await page.locator(".card").first().click();
        await page.getByRole("dialog").waitFor();
        await shot("task");
        await page.goto(`${url}/events`);
        await page.locator(".presence", { hasText: "ready" }).waitFor();
        await page.getByRole("row").nth(8).getByRole("button").click();
        await shot("events");
        await page.goto(`${url}/guide`);
        await page.getByRole("heading", { level: 1 }).waitFor();
        await shot("guide");
        await context.close();
      }
    await copyFile(shotOf("board-wide-light"), new URL("../docs/board.png", import.meta.url));
  } finally {
    await browser.close();
  }
}

try {
  await shootAll(taskwireUrl(process.argv[2], process.env));
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
