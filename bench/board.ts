/**
 * `npm run bench:board`: what the pages cost in Chromium. Prints when `/app`, `/events` and `/guide` show something and how
 * many bytes they take; how long a drag takes to the other window; and of a board with 2,000 tasks when it can be used, its
 * memory, and its frames while a card is dragged. It takes about a minute.
 */
import { loadavg } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import pg from "pg";
import type { Browser, CDPSession, Locator, Page } from "playwright-core";
import { until } from "../local/until.ts";
import { openWindow, startBrowser } from "../test/support/browser.ts";
import { PASSWORD, percentile, startSystem } from "./system.ts";

const [FEW, MANY] = [25, 2000];
const LOADS = 5;
const DRAGS = 60;
const WITHIN_MS = 30_000;
/** After this time the page has written down what it shows. */
const SAVED_MS = 2500;
/** A drag whose frames are counted: pointer moves, and changes by others meanwhile. */
const [MOVES, CHANGES, CHANGE_EVERY_MS] = [240, 30, 100];

/** Kept by each page from its first script on: when it first showed a card, and when it was live. */
const WATCH = `
  window.seen = {};
  new MutationObserver(() => {
    const now = performance.now();
    if (document.querySelector(".card")) seen.card ??= now;
    if (document.querySelector(".presence[data-state=live]") && seen.card) seen.live ??= now;
  }).observe(document, { subtree: true, childList: true, attributes: true });
  addEventListener("pointerup", (event) => (seen.dropped = performance.timeOrigin + event.timeStamp), true);`;
const PAINTS = `performance.getEntriesByType("paint").map(({ name, startTime }) => [name, startTime])`;
const WEIGHTS = `[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter(({ name }) => !/\\/(ws|auth|projects|users)\\b/.test(new URL(name).pathname))
  .map(({ transferSize }) => transferSize)`;

const ms = (times: number[], share: number): string => percentile(times, share).toFixed(0);
/** The fastest one says most of the program where others use the machine too. */
const spread = (times: number[]): string =>
  `fastest ${Math.min(...times).toFixed(0)} ms, p50 ${ms(times, 0.5)} ms, p95 ${ms(times, 0.95)} ms, longest ${Math.max(...times).toFixed(0)} ms`;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const system = await startSystem({ BCRYPT_COST: "4", NODE_ENV: "test" });
const { origin } = system;
const must: typeof system.must = (method, path, options) => system.must(method, path, options);

/** A project of a user with so many tasks. */
async function makeBoard(token: string, owner: string, count: number): Promise<string> {
  const { id } = await must<{ id: string }>("POST", "/projects", { token, body: { name: `${count} tasks` } });
  const client = new pg.Client({ connectionString: system.databaseUrl });
  await client.connect();
  await client.query(
    `INSERT INTO tasks.tasks (id, title, description, status, priority, project_id, created_by, assigned_to,
                              created_at, updated_at)
     SELECT gen_random_uuid(), 'Task ' || n || ' of the board, with a title of usual length',
            'Noted in the weekly meeting.', (ARRAY['pending', 'in_progress'])[1 + n % 2], 'medium', $1, $2, $2,
            now() - n * interval '1 minute', now()
     FROM generate_series(1, $3::int) AS n`,
    [id, owner, count],
  );
  await client.end();
  return id;
}

/** A window of a user who has logged in and sees the board live. */
async function lookAt(
  browser: Browser,
  board: string,
): Promise<{ page: Page; devtools: CDPSession; firstMs: number }> {
  const { page, context } = await openWindow(browser, "about:blank");
  await context.addInitScript(WATCH);
  await page.goto(`${origin}/app#/p/${board}`);
  await page.getByLabel("User name or e-mail").fill("bench");
  await page.getByLabel("Password").fill(PASSWORD);
  const began = Number(await page.evaluate("performance.now()"));
  await page.getByRole("button", { name: "Log in" }).click();
  const live = await seenAt(page, "live");
  return { page, devtools: await context.newCDPSession(page), firstMs: live - began };
}

/** Polls from outside: the page's policy lets nothing in it become code. @throws Error after half a minute */
async function waitFor(page: Page, condition: string): Promise<void> {
  if (!(await until(async () => (await page.evaluate(condition)) === true, WITHIN_MS)))
    throw new Error(`${page.url()}: ${condition} did not come`);
}

async function seenAt(page: Page, what: "card" | "live"): Promise<number> {
  await waitFor(page, `window.seen?.${what} !== undefined`);
  return Number(await page.evaluate(`window.seen.${what}`));
}

async function measurePages(browser: Browser): Promise<void> {
  for (const path of ["/app", "/events", "/guide"]) {
    const paints: number[] = [];
    let bytes = 0;
    for (let load = 0; load < LOADS; load++) {
      const { page, context } = await openWindow(browser, `${origin}${path}`);
      await waitFor(page, `${PAINTS}.length === 2`);
      const found = await page.evaluate<[string, number][]>(PAINTS);
      paints.push(new Map(found).get("first-contentful-paint") as number);
      bytes = (await page.evaluate<number[]>(WEIGHTS)).reduce((sum, size) => sum + size, 0);
      await context.close();
    }
    const script = await (await fetch(`${origin}/app/${path.slice(1)}.js`)).bytes();
    const zipped = (gzipSync(script).length / 1000).toFixed(1);
    say(
      `${path.padEnd(8)} first contentful paint: ${spread(paints)}; ` +
        `${(bytes / 1000).toFixed(1)} kB over the wire; script ${zipped} kB gzip`,
    );
  }
}

const columnOf = (page: Page, name: string): Locator => page.getByRole("region", { name, exact: true });

/** Where the middle of an element is. */
async function middleOf(element: Locator): Promise<{ x: number; y: number }> {
  const box = await element.boundingBox();
  if (box === null) throw new Error("nothing is to be seen there");
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

/** From the drop in one window to the change in the other. */
async function measureDrags(browser: Browser, board: string): Promise<void> {
  const [{ page: one }, { page: two }] = [await lookAt(browser, board), await lookAt(browser, board)];
  const times: number[] = [];
  for (let nth = 0; nth < DRAGS; nth++) {
    const [from, to] = nth % 2 === 0 ? ["To do", "In progress"] : ["In progress", "To do"];
    await two.evaluate(`seen.moved = undefined;
      new MutationObserver((_, observer) => {
        seen.moved ??= performance.timeOrigin + performance.now();
        observer.disconnect();
      }).observe(document.querySelector(".board"), { subtree: true, childList: true })`);
    const start = await middleOf(columnOf(one, from).locator(".card").first());
    const end = await middleOf(columnOf(one, to).locator(".card").first());
    await one.mouse.move(start.x, start.y);
    await one.mouse.down();
    await one.mouse.move(start.x + 12, start.y + 6, { steps: 2 });
    await one.mouse.move(end.x, end.y - 20, { steps: 5 });
    await one.mouse.up();
    await waitFor(two, "seen.moved !== undefined");
    times.push(Number(await two.evaluate("seen.moved")) - Number(await one.evaluate("seen.dropped")));
  }
  say(`drop to the other window, ${DRAGS} drags: ${spread(times)}`);
  await Promise.all([one.context().close(), two.context().close()]);
}

/** The frames while a card is dragged all over the board. */
async function framesOf(page: Page): Promise<number[]> {
  const { x, y } = await middleOf(columnOf(page, "To do").locator(".card").first());
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x + 12, y + 6, { steps: 3 });
  await page.evaluate(`window.frames_ = []; window.counting = true; (function next(last) {
    requestAnimationFrame((now) => { if (last) frames_.push(now - last); if (counting) next(now); });
  })()`);
  for (let move = 0; move < MOVES; move++) {
    const turn = (move / MOVES) * 6 * Math.PI;
    await page.mouse.move(x + 250 + 240 * Math.sin(turn), y + 200 + 190 * Math.cos(turn));
  }
  const frames = await page.evaluate<number[]>("counting = false, frames_");
  await page.keyboard.press("Escape");
  await page.mouse.up();
  return frames;
}

async function measureBoard(browser: Browser, board: string, token: string): Promise<void> {
  const { page, devtools, firstMs } = await lookAt(browser, board);
  await delay(SAVED_MS);
  const cards: number[] = [];
  const lives: number[] = [];
  for (let load = 0; load < LOADS; load++) {
    await page.reload();
    cards.push(await seenAt(page, "card"));
    lives.push(await seenAt(page, "live"));
  }
  say(`board of ${MANY} tasks: live ${firstMs.toFixed(0)} ms after the first login`);
  say(`  reloaded, until there are cards: ${spread(cards)}; until it is live: ${spread(lives)}`);
  await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  say(`  JavaScript heap after a collection: ${(usedSize / 1e6).toFixed(1)} MB`);
  const alone = await framesOf(page);
  say(`  frames while dragging: ${spread(alone)} (${alone.length} frames)`);
  const { items } = await must<{ items: { id: string }[] }>(
    "GET",
    `/projects/${board}/tasks?limit=${CHANGES}`,
    { token },
  );
  const changing = (async () => {
    for (const [nth, { id }] of items.entries()) {
      await must("PATCH", `/tasks/${id}`, { token, body: { title: `Changed meanwhile, number ${nth}` } });
      await delay(CHANGE_EVERY_MS);
    }
  })();
  const busy = await framesOf(page);
  say(
    `  the same with ${1000 / CHANGE_EVERY_MS} changes a second by others: ${spread(busy)} (${busy.length} frames)`,
  );
  await changing;
  await page.context().close();
}

const load = (): string =>
  loadavg()
    .map((value) => value.toFixed(1))
    .join(" ");
const browser = await startBrowser();
try {
  say(`load average ${load()} before`);
  const { id, token } = await system.register("bench");
  const [small, large] = [await makeBoard(token, id, FEW), await makeBoard(token, id, MANY)];
  await measurePages(browser);
  await measureDrags(browser, small);
  await measureBoard(browser, large, token);
  say(`load average ${load()} after`);
} finally {
  await browser.close();
  await system.stop();
}
