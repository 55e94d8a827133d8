/**
 * The service worker of `/app`: it keeps the files of the page, and nothing that the API says, so that a reload without a
 * network shows the board with the changes that wait. With a network each file is asked for as ever: an upgrade shows at once.
 *
 * The gateway puts `VERSION` before it, a hash of the files (services/api-gateway/browser-pages.ts). Files of another
 * version are another worker, which fetches all of them before it takes over.
 */
declare const VERSION: string;

/** What TypeScript's DOM does not know of a worker's scope. */
interface Waiting extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetching extends Event {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface Scope {
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: Waiting) => void): void;
  addEventListener(type: "fetch", listener: (event: Fetching) => void): void;
}

const FILES = ["/app", "/app/app.js", "/app/app.css", "/app/icon.svg"];
const PREFIX = "taskwire-app-";
const NAME = PREFIX + VERSION;
/** Milliseconds that a network may take which answers nothing. */
const PATIENCE_MS = 3000;
const scope = self as unknown as Scope;

async function keep(): Promise<void> {
  const cache = await caches.open(NAME);
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
  await scope.skipWaiting();
}

async function takeOver(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
  await scope.clients.claim();
}

/** The server's answer; what is kept where none comes. */
async function answer(request: Request, file: string): Promise<Response> {
  try {
    return await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    const kept = await (await caches.open(NAME)).match(file);
    if (kept === undefined) throw error;
    return kept;
  }
}

scope.addEventListener("install", (event) => event.waitUntil(keep()));
scope.addEventListener("activate", (event) => event.waitUntil(takeOver()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  const file = pathname.replace(/\/$/, "");
  if (request.method !== "GET" || origin !== location.origin || !FILES.includes(file)) return;
  event.respondWith(answer(request, file));
});
