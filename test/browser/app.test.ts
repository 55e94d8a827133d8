/** The board at `/app`, in a real Chromium: what people see who work on one board in several windows. */
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import type { Browser, Locator, Page } from "playwright-core";
import { until } from "../../local/until.ts";
import { PASSWORD, type Person } from "../support/api.ts";
import { openWindow, startBrowser, type Window } from "../support/browser.ts";
import { TcpProxy } from "../chaos/tcp-proxy.ts";
import { startTestNode, type TestNode, withoutService } from "../support/node.ts";

/** Chromium may have to be installed first. */
const START_MS = 240_000;
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

let node: TestNode;
let browser: Browser;
let ada: Person;
let ben: Person;
const windows: Window[] = [];

beforeAll(async () => {
  [node, browser] = await Promise.all([startTestNode(), startBrowser()]);
  [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
}, START_MS);
afterEach(async () => {
  const faults = windows.flatMap((window) => window.faults);
  await Promise.all(windows.splice(0).map(({ context }) => context.close()));
  // Nothing was logged as an error, and the policy refused nothing.
  expect(faults).toEqual([]);
});
afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

/** The paths of all that the page's caches have. */
const CACHED = `caches.keys()
  .then((names) => Promise.all(names.map((name) => caches.open(name).then((cache) => cache.keys()))))
  .then((lists) => lists.flat().map(({ url }) => new URL(url).pathname).sort())`;

/** Whether the project's state is written down, as it is two seconds after it was read. */
const KEPT = `new Promise((resolve) => {
  const opened = indexedDB.open("taskwire");
  opened.onsuccess = () => {
    const keys = opened.result.transaction("texts").objectStore("texts").getAllKeys();
    keys.onsuccess = () => resolve(keys.result.some((key) => /:state:[^:]+:[0-9a-f-]+$/.test(key)));
  };
})`;

interface Board {
  id: string;
  /** Ids by title. */
  tasks: Record<string, string>;
}

/** A project of Ada's with Ben in it, and these tasks to do. */
async function makeBoard(...titles: string[]): Promise<Board> {
  const { id } = await ada.api.must("POST", "/projects", { name: "Launch" });
  await ada.api.must("POST", `/projects/${id}/members`, { user_id: ben.id, role: "member" });
  const tasks: Record<string, string> = {};
  for (const title of titles)
    tasks[title] = (await ada.api.must("POST", `/projects/${id}/tasks`, { title })).id as string;
  return { id, tasks };
}

async function open(path: string, options?: Parameters<typeof openWindow>[2]): Promise<Window> {
  const window = await openWindow(browser, `${node.url}${path}`, options);
  windows.push(window);
  return window;
}

async function logIn(page: Page, person: Person): Promise<void> {
  await page.getByLabel("User name or e-mail").fill(person.username);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** A window in which a person looks at a board, live. */
async function lookAt(
  board: Board,
  person: Person,
  options?: Parameters<typeof openWindow>[2],
): Promise<Window> {
  const window = await open(`/app#/p/${board.id}`, options);
  await logIn(window.page, person);
  await isLive(window.page);
  return window;
}

const says = (page: Page, words: string): Promise<void> =>
  page.locator(".presence", { hasText: words }).waitFor();
const isLive = (page: Page): Promise<void> => says(page, "Live");
const column = (page: Page, name: string): Locator => page.getByRole("region", { name, exact: true });
const card = (place: Page | Locator, title: string): Locator => place.locator(".card", { hasText: title });
const titlesIn = (page: Page, name: string): Promise<string[]> =>
  column(page, name).locator(".card .title").allTextContents();

/** Waits until a column has these cards in this order. */
async function hasTitles(page: Page, name: string, titles: string[]): Promise<void> {
  await until(async () => String(await titlesIn(page, name)) === String(titles), 15_000);
  expect(await titlesIn(page, name)).toEqual(titles);
}

async function middleOf(locator: Locator): Promise<{ x: number; y: number; height: number }> {
  const box = await locator.boundingBox();
  if (box === null) throw new Error("the card is not to be seen");
  return { x: box.x + box.width / 2, y: box.y + box.height / 2, height: box.height };
}

/** Drags a card by mouse to just above another one, or into an empty column. */
async function drag(page: Page, moved: Locator, target: Locator, above = true): Promise<void> {
  const from = await middleOf(moved);
  const to = await middleOf(target);
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(from.x + 12, from.y + 6, { steps: 3 });
  await page.mouse.move(to.x, above ? to.y - to.height / 3 : to.y + to.height / 3, { steps: 8 });
  await page.mouse.up();
}

test("a newcomer registers, makes a project, writes a task, and finds all of it after a reload", async () => {
  const { page, shoot } = await open("/app");
  await shoot("door");
  await page.getByRole("button", { name: "Create an account" }).click();
  const username = `new-${Date.now()}`;
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("E-mail").fill(`${username}@example.com`);
  await page.getByLabel("First name").fill("Nell");
  await page.getByLabel("Password").fill("password1");
  await page.getByRole("button", { name: "Create the account" }).click();
  // The server's own words stand at the form.
  await page.getByRole("alert").filter({ hasText: "most common" }).waitFor();
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create the account" }).click();
  await page.getByRole("button", { name: "New project" }).first().click();
  await page.getByLabel("Name").fill("First project");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await isLive(page);
  await page.getByRole("button", { name: "Add a task to To do" }).click();
  await page.keyboard.type("First task");
  await page.keyboard.press("Enter");
  await page.keyboard.type("Second task");
  await page.keyboard.press("Enter");
  await hasTitles(page, "To do", ["First task", "Second task"]);
  await isLive(page);
  await page.reload();
  await hasTitles(page, "To do", ["First task", "Second task"]);
  await page.getByRole("button", { name: "Account of Nell" }).click();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  expect(await page.getByText("Your session has ended").count()).toBe(0);
});

test("what one drags, the other sees: across columns and within one, by mouse and by keyboard", async () => {
  const board = await makeBoard("Alpha", "Beta", "Gamma");
  const [{ page: one }, { page: two }] = [await lookAt(board, ada), await lookAt(board, ben)];
  await drag(one, card(one, "Alpha"), column(one, "In progress").locator(".cards"));
  await hasTitles(two, "In progress", ["Alpha"]);
  await drag(one, card(one, "Gamma"), card(one, "Beta"));
  await hasTitles(two, "To do", ["Gamma", "Beta"]);
  // A click after a drag still opens a task, and the drag opened none.
  expect(await one.getByRole("dialog").count()).toBe(0);

  await card(two, "Beta").focus();
  for (const key of ["Space", "ArrowRight", "ArrowUp", "Space"]) await two.keyboard.press(key);
  await hasTitles(one, "In progress", ["Beta", "Alpha"]);
  // The focus followed the card.
  expect(await two.evaluate("document.activeElement.textContent")).toContain("Beta");
  // A pending task can't be archived: it stays, and Escape leaves a card where it was.
  await drag(one, card(one, "Gamma"), column(one, "Archived").locator(".cards"));
  await card(two, "Gamma").focus();
  for (const key of ["Space", "ArrowRight", "Escape"]) await two.keyboard.press(key);
  await hasTitles(one, "To do", ["Gamma"]);
  await hasTitles(two, "To do", ["Gamma"]);
  const { items } = await ada.api.must("GET", `/projects/${board.id}/tasks?status=in_progress&sort=position`);
  expect(items.map(({ title }: { title: string }) => title)).toEqual(["Beta", "Alpha"]);
});

test("a task in full: fields and comments of one show with the other, in the activity and in the search", async () => {
  const board = await makeBoard("Order the cake");
  const [{ page: one }, { page: two }] = [await lookAt(board, ada), await lookAt(board, ben)];
  await card(one, "Order the cake").click();
  await one.getByLabel("Priority").selectOption("urgent");
  await one.getByLabel("Assigned to").selectOption(ben.id);
  await one.getByLabel("Title").fill("Order two cakes");
  await one.getByLabel("New comment").fill("One with candles");
  await one.getByRole("button", { name: "Comment", exact: true }).click();
  await one.getByText("One with candles").waitFor();
  const seen = card(two, "Order two cakes");
  await seen
    .filter({ hasText: "urgent priority" })
    .filter({ hasText: `assigned to ${ben.username}` })
    .waitFor();
  await seen.filter({ hasText: "1 comments" }).waitFor();
  await two.getByRole("button", { name: "Activity" }).click();
  await two.getByRole("complementary", { name: "Activity" }).getByText("commented on").waitFor();
  await two.keyboard.press("/");
  await two.keyboard.type("two cakes");
  await two.getByRole("option", { name: /Order two cakes/ }).waitFor();
  await two.keyboard.press("Enter");
  await two.getByRole("dialog", { name: "Order two cakes" }).waitFor();
  await two.keyboard.press("Escape");
  // Ada deletes it, and takes that back.
  await one.getByRole("button", { name: "Delete the task" }).click();
  await seen.waitFor({ state: "detached" });
  await one.getByRole("button", { name: "Undo" }).click();
  await seen.waitFor();
});

test("offline, changes wait and say so; back online they are there, and a lost one shows both sides", async () => {
  const board = await makeBoard("Kept", "Contested");
  const { page, context } = await lookAt(board, ada);
  await context.setOffline(true);
  await says(page, "Offline");
  await drag(page, card(page, "Kept"), column(page, "Done").locator(".cards"));
  await card(page, "Contested").click();
  await page.getByLabel("Title").fill("Mine");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await says(page, "Offline: 2 changes wait");
  await ben.api.must("PATCH", `/tasks/${board.tasks["Contested"]}`, { title: "Theirs" });
  await context.setOffline(false);
  await isLive(page);
  await hasTitles(page, "Done", ["Kept"]);
  expect((await ada.api.must("GET", `/tasks/${board.tasks["Kept"]}`)).status).toBe("completed");
  // Ben was faster: his title stands, hers is offered again.
  await card(page, "Theirs").filter({ hasText: "not saved" }).waitFor();
  await page.getByText("Somebody was faster").waitFor();
  await page.getByRole("button", { name: "Try mine again" }).click();
  await card(page, "Mine").waitFor();
  expect(
    await until(
      async () => (await ada.api.must("GET", `/tasks/${board.tasks["Contested"]}`)).title === "Mine",
      15_000,
    ),
  ).toBe(true);
  expect(await page.getByText("Somebody was faster").count()).toBe(0);
});

test("a reload without a network shows the board with the changes that wait, which are sent later", async () => {
  const board = await makeBoard("Kept", "Moved");
  const way = await TcpProxy.listen(() => Number(new URL(node.url).port));
  try {
    const window = await openWindow(browser, `http://127.0.0.1:${way.port}/app#/p/${board.id}`);
    windows.push(window);
    const { page } = window;
    await logIn(page, ada);
    await isLive(page);
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)");
    // What the API said is not kept.
    expect(await page.evaluate(CACHED)).toEqual(["/app", "/app/app.css", "/app/app.js", "/app/icon.svg"]);
    expect(await until(() => page.evaluate<boolean>(KEPT), 15_000)).toBe(true);
    way.set("cut");
    await says(page, "Offline");
    await drag(page, card(page, "Moved"), column(page, "Done").locator(".cards"));
    await says(page, "Offline: 1 change waits");
    await page.reload();
    await hasTitles(page, "Done", ["Moved"]);
    await hasTitles(page, "To do", ["Kept"]);
    await says(page, "Offline: 1 change waits");
    way.set("open");
    await isLive(page);
    expect((await ada.api.must("GET", `/tasks/${board.tasks["Moved"]}`)).status).toBe("completed");
  } finally {
    await way.close();
  }
});

test("a notifier that dies is told, and what happened meanwhile is caught up", async () => {
  const board = await makeBoard("Before");
  const { page } = await lookAt(board, ada);
  await withoutService(node, "notifier", async () => {
    await page.locator(".presence", { hasNotText: "Live" }).waitFor();
    await ben.api.must("POST", `/projects/${board.id}/tasks`, { title: "Meanwhile" });
  });
  await hasTitles(page, "To do", ["Before", "Meanwhile"]);
  await isLive(page);
});

test("a session that ends elsewhere leads to the login, and the login back to the board", async () => {
  const board = await makeBoard("Still here");
  const carol = await node.api.person("carol");
  await ada.api.must("POST", `/projects/${board.id}/members`, { user_id: carol.id, role: "viewer" });
  const { page } = await lookAt(board, carol);
  // A viewer is offered no writes.
  expect(await page.getByRole("button", { name: /Add a task/ }).count()).toBe(0);
  await carol.api.must("POST", "/auth/logout-all");
  await page.getByText("Your session has ended").waitFor();
  await logIn(page, carol);
  await hasTitles(page, "To do", ["Still here"]);
});

test("on a phone one column fills the window, a swipe scrolls, and a finger that rests lifts a card", async () => {
  const board = await makeBoard("Under my thumb", "Below it");
  const { page, context, shoot } = await lookAt(board, ada, PHONE);
  await shoot("phone");
  const finger = await context.newCDPSession(page);
  const touch = (type: "touchStart" | "touchMove" | "touchEnd", x = 0, y = 0) =>
    finger.send("Input.dispatchTouchEvent", { type, touchPoints: type === "touchEnd" ? [] : [{ x, y }] });
  const from = await middleOf(card(page, "Under my thumb"));
  const to = await middleOf(card(page, "Below it"));
  await touch("touchStart", from.x, from.y);
  await page.locator(".ghost").waitFor();
  for (let step = 1; step <= 5; step++)
    await touch("touchMove", from.x, from.y + ((to.y + to.height / 3 - from.y) * step) / 5);
  await touch("touchEnd");
  await hasTitles(page, "To do", ["Below it", "Under my thumb"]);
  expect(await page.getByRole("dialog").count()).toBe(0);
  // Nothing is wider than the window but the board itself, which scrolls.
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
  await page.getByRole("button", { name: /^In progress/ }).click();
  const isLeft = async () => ((await column(page, "In progress").boundingBox())?.x ?? 999) < 30;
  expect(await until(isLeft, 10_000)).toBe(true);
});

test("/events shows the streams live and from the log, and resumes from an event", async () => {
  const board = await makeBoard("First", "Second");
  const window = await lookAt(board, ada);
  const { page } = window;
  await page.goto(`${node.url}/events`);
  await page.locator(".presence", { hasText: "ready" }).waitFor();
  // What the page reads out of the log has been read: the next event comes live.
  const isPage = (url: string) => url.includes(`/projects/${board.id}/events?`) && url.includes("limit=100");
  const read = page.waitForResponse((response) => isPage(response.url()));
  await page.getByLabel("Stream").selectOption(`project:${board.id}`);
  await read;
  await ben.api.must("POST", `/projects/${board.id}/tasks`, { title: "Third" });
  const rows = page.getByRole("row");
  await rows.filter({ hasText: "Third" }).filter({ hasText: "live" }).waitFor();
  await rows.filter({ hasText: "First" }).filter({ hasText: "log" }).getByRole("button").click();
  const detail = page.getByRole("complementary", { name: "The event" });
  expect(await detail.getByText('"title": "First"').count()).toBe(1);
  await window.shoot("events");
  await detail.getByRole("button", { name: "Resume from here" }).click();
  await page.getByText("gets 2 of 2 events first").waitFor();
  expect(await rows.filter({ hasText: "First" }).count()).toBe(0);
});

test("the guide finds a part by its words, and goes there", async () => {
  const { page } = await open("/guide");
  await page.keyboard.press("/");
  await page.keyboard.type("idempotency");
  await page.getByRole("option").first().waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/#.*idempoten/);
});

test("the API's events stay at /events for its clients, and the scripts of each page weigh 60 kB at most", async () => {
  expect((await ada.api.get("/events")).body.items).toBeInstanceOf(Array);
  for (const name of ["app", "events"]) {
    const script = await (
      await fetch(`${node.url}/app/${name}.js`, { headers: { Connection: "close" } })
    ).bytes();
    expect(gzipSync(script).length).toBeLessThanOrEqual(60_000);
  }
});
