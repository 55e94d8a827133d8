/** The SDK in pages of a real Chromium: its storages, several tabs, a network that goes and comes, and the example's page. */
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { type BuildContext, context as bundler, stop as stopBundler } from "esbuild";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { until } from "../../local/until.ts";
import { PASSWORD, type Person } from "../support/api.ts";
import { openWindow, startBrowser, type Window } from "../support/browser.ts";
import { HttpProxy } from "../support/http-proxy.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

/** Chromium may have to be installed first. */
const START_MS = 240_000;
const EXAMPLES = fileURLToPath(new URL("../../client/examples/", import.meta.url));
const SOURCES = fileURLToPath(new URL("../../client/src/", import.meta.url));

let node: TestNode;
let browser: Browser;
let proxy: HttpProxy;
let bundle: BuildContext;
/** Where the pages are: another origin than the server's. */
let site: string;
let ada: Person;
let project: string;
const windows: Window[] = [];

beforeAll(async () => {
  [node, browser] = await Promise.all([startTestNode({ CORS_ORIGINS: ["*"] }), startBrowser()]);
  proxy = await HttpProxy.listen(node.url);
  // As board.html says: esbuild serves the folder, and the client bundled in it.
  bundle = await bundler({
    entryPoints: { taskwire: `${SOURCES}index.ts`, indexeddb: `${SOURCES}indexeddb.ts` },
    bundle: true,
    format: "esm",
    outdir: EXAMPLES,
    write: false,
  });
  site = `http://127.0.0.1:${(await bundle.serve({ servedir: EXAMPLES, host: "127.0.0.1" })).port}`;
  ada = await node.api.person("ada");
}, START_MS);
afterEach(async () => {
  proxy.isCut = false;
  const faults = windows.flatMap((window) => window.faults);
  await Promise.all(windows.splice(0).map(({ context }) => context.close()));
  expect(faults).toEqual([]);
});
afterAll(async () => {
  await browser?.close();
  await bundle?.dispose();
  await stopBundler();
  await proxy?.close();
  await node?.stop();
});

/** Makes the SDK known to the scripts of `run`. */
async function load(page: Page): Promise<void> {
  await page.addScriptTag({
    type: "module",
    content: `import * as taskwire from "/taskwire.js";
      import * as indexeddb from "/indexeddb.js";
      globalThis.is = {};
      globalThis.sdk = { ...taskwire, ...indexeddb };`,
  });
  await page.waitForFunction("globalThis.sdk !== undefined");
}

/** A page without anything of its own. */
async function openPage(options?: Parameters<typeof openWindow>[2]): Promise<Window> {
  const window = await openWindow(browser, `${site}/`, options);
  windows.push(window);
  await load(window.page);
  return window;
}

async function openTab(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${site}/`);
  await load(page);
  return page;
}

/** Runs statements in a page, with `sdk` and with what earlier ones put into `is`. */
const run = <Result = void>(page: Page, script: string): Promise<Result> =>
  page.evaluate<Result>(`(async () => { ${script} })()`);

/** Waits until an expression is true in a page. */
const holds = (page: Page, expression: string): Promise<unknown> => page.waitForFunction(expression);

const asAda = (): string => `await is.client.login({ login: "${ada.username}", password: "${PASSWORD}" });`;

async function makeProject(): Promise<void> {
  ({ id: project } = await ada.api.must("POST", "/projects", { name: "Launch" }));
}

test("a board beyond localStorage and changes made without a server survive a reload in IndexedDB, and are made once", async () => {
  await makeProject();
  const description = "x".repeat(9900);
  // Six megabytes, where localStorage ends at five.
  for (let bulk = 0; bulk < 12; bulk += 1)
    await ada.api.must("POST", "/tasks/bulk", {
      operations: Array.from({ length: 50 }, (_, at) => ({
        op: "create",
        project_id: project,
        title: `Task ${bulk * 50 + at}`,
        description,
      })),
    });
  const open = `
    is.client = sdk.createClient({ url: "${proxy.url}", storage: sdk.indexedDbStorage() });
    is.board = is.client.project("${project}");
    is.shows = () => is.board.getSnapshot();`;
  const { page } = await openPage();
  await run(page, `${open} ${asAda()} await is.board.open();`);
  expect(await run(page, "return is.shows().tasks.size")).toBe(600);
  // The board is written down when it has not changed for a moment.
  const isKept = async (): Promise<boolean> =>
    (await run<string[]>(page, "return sdk.indexedDbStorage().keys('')")).some((key) =>
      key.includes(":state:"),
    );
  expect(await until(isKept, 20_000)).toBe(true);
  proxy.isCut = true;
  await holds(page, "is.client.connection.status !== 'ready'");
  await run(
    page,
    `const { id } = is.board.create({ title: "Draft" });
     is.board.comment(id, "Written in a tunnel");`,
  );
  await page.reload();
  await load(page);
  await run(page, `${open} is.user = await is.client.restore(); is.board.subscribe(() => {});`);
  await holds(page, "is.shows().tasks.size === 601");
  expect(await run(page, "return [is.shows().status, is.shows().waiting, is.user.username]")).toEqual([
    "stale",
    2,
    ada.username,
  ]);
  proxy.isCut = false;
  await run(page, "is.client.connect()");
  await holds(page, "is.shows().status === 'live' && is.shows().waiting === 0");
  const { items } = await ada.api.must("GET", `/projects/${project}/tasks?q=Draft`);
  expect(items).toHaveLength(1);
  const comments = await ada.api.must("GET", `/tasks/${items[0].id}/comments`);
  expect(comments.items.map(({ body }: { body: string }) => body)).toEqual(["Written in a tunnel"]);
  // Who logs out leaves nothing behind.
  await run(page, "await is.client.logout()");
  expect(await run(page, "return sdk.indexedDbStorage().keys('')")).toEqual([]);
});

test("two tabs refresh their token once", async () => {
  const { page: one, context } = await openPage();
  const requests: string[] = [];
  context.on("request", (request) => requests.push(`${request.method()} ${new URL(request.url()).pathname}`));
  const create = `
    is.storage = sdk.indexedDbStorage();
    is.client = sdk.createClient({ url: "${node.url}", storage: is.storage });`;
  await run(one, create + asAda());
  // The token that is kept is one that the server refuses.
  await run(
    one,
    `const key = (await is.storage.keys("")).find((name) => name.endsWith("session"));
     const session = JSON.parse(await is.storage.get(key));
     await is.storage.set(key, JSON.stringify({ ...session, access_token: "nonsense" }));`,
  );
  const tabs = [await openTab(context), await openTab(context)];
  for (const tab of tabs) await run(tab, `${create} await is.client.restore();`);
  const asked = await Promise.all(
    tabs.map((tab) => run<number>(tab, "return (await is.client.rest.GET('/projects')).response.status")),
  );
  expect(asked).toEqual([200, 200]);
  expect(requests.filter((request) => request === "POST /api/v1/auth/refresh")).toHaveLength(1);
});

test("the client is back at once when the network is, and when the reader is: it does not wait for its pause to end", async () => {
  const { page, context } = await openPage();
  // Pauses of half a minute and more.
  await run(page, "Math.random = () => 40;");
  await run(
    page,
    `is.client = sdk.createClient({ url: "${proxy.url}", storage: sdk.memoryStorage() });
     is.codes = []; is.client.on("connection", ({ code }) => is.codes.push(code));
     ${asAda()} is.client.connect();`,
  );
  const isReady = "is.client.connection.status === 'ready'";
  const waits = "is.client.connection.retryAt > Date.now() + 10_000";
  await holds(page, isReady);
  await context.setOffline(true);
  await holds(page, waits);
  expect(await run<number[]>(page, "return is.codes")).toContain(7);
  await context.setOffline(false);
  await holds(page, isReady);

  proxy.isCut = true;
  await holds(page, waits);
  proxy.isCut = false;
  expect(await run(page, "return document.visibilityState")).toBe("visible");
  await run(page, "document.dispatchEvent(new Event('visibilitychange'))");
  await holds(page, isReady);
});

test("the example's page is a live board", async () => {
  await makeProject();
  const { token } = await ada.api.must("POST", "/auth/tokens", { name: "board", scope: "write" });
  const hash = new URLSearchParams({ url: node.url, token, project });
  const window = await openWindow(browser, `${site}/board.html#${hash.toString()}`);
  windows.push(window);
  const { page } = window;
  await page.getByText("live, 0 changes wait").waitFor();
  await ada.api.must("POST", `/projects/${project}/tasks`, { title: "From elsewhere" });
  await page.getByRole("listitem").filter({ hasText: "From elsewhere" }).waitFor();
  await page.getByPlaceholder("What is to be done?").fill("Typed here");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByRole("listitem").filter({ hasText: "Typed here" }).waitFor();
  // What the server refuses is told, and forgotten when the user says so.
  await page.getByPlaceholder("What is to be done?").fill("x".repeat(201));
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByText("create:").waitFor();
  await page.getByRole("button", { name: "Forget it" }).click();
  await page.getByText("create:").waitFor({ state: "detached" });
  const isThere = async () =>
    (await ada.api.get(`/projects/${project}/tasks?q=Typed`)).body.items.length === 1;
  expect(await until(isThere, 15_000)).toBe(true);
});
