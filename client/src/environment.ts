/** What browsers have and Node does not, or not everywhere. Each of it may be missing. */

interface Locks {
  request<Result>(name: string, work: () => Promise<Result>): Promise<Result>;
}

interface Listening {
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
}

/** The part of `localStorage` that the client uses. */
export interface WebStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

interface Browser extends Partial<Listening> {
  navigator?: { locks?: Locks; onLine?: boolean };
  document?: Listening & { visibilityState: string };
  location?: { origin: string };
}

const browser = globalThis as unknown as Browser;

/** The page's own origin; empty outside of browsers. */
export const ownOrigin = (): string => browser.location?.origin ?? "";

/** Whether the browser says that it has no network. */
export const isOffline = (): boolean => browser.navigator?.onLine === false;

/** Does work while no other tab does work under this name. Without Web Locks the tabs don't wait for each other. */
export const alone = <Result>(name: string, work: () => Promise<Result>): Promise<Result> =>
  browser.navigator?.locks?.request(name, work) ?? work();

/**
 * Calls back when the network or the user comes back, when the network goes, and before the page is put away.
 * @returns the end of it
 */
export function watchPage(on: { back: () => void; offline: () => void; hide: () => void }): () => void {
  const { document } = browser;
  const visibility = (): void => (document?.visibilityState === "visible" ? on.back() : on.hide());
  const page = [
    ["online", on.back],
    ["offline", on.offline],
    ["pagehide", on.hide],
  ] as const;
  for (const [type, listener] of page) browser.addEventListener?.(type, listener);
  document?.addEventListener("visibilitychange", visibility);
  return () => {
    for (const [type, listener] of page) browser.removeEventListener?.(type, listener);
    document?.removeEventListener("visibilitychange", visibility);
  };
}

/** 128 random bits, as text: for idempotency keys and request ids. (`randomUUID` is for secure pages alone.) */
export const newId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
