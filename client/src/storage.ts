/** Places to keep what survives a reload. */
import type { WebStorage } from "./environment.ts";
import type { ClientStorage } from "./types.ts";

/** Keeps everything as long as the program runs. */
export function memoryStorage(): ClientStorage {
  const values = new Map<string, string>();
  return {
    get: async (key) => values.get(key) ?? null,
    set: async (key, value) => void values.set(key, value),
    delete: async (key) => void values.delete(key),
    keys: async (prefix) => [...values.keys()].filter((key) => key.startsWith(prefix)),
  };
}

/**
 * Keeps texts in `localStorage` or `sessionStorage`: some megabytes, shared by the tabs of an origin.
 * @param area `localStorage` by default
 */
export function webStorage(
  area: WebStorage = (globalThis as unknown as { localStorage: WebStorage }).localStorage,
): ClientStorage {
  const names = (): string[] =>
    Array.from({ length: area.length }, (_, at) => area.key(at)).filter((key) => key !== null);
  return {
    get: async (key) => area.getItem(key),
    set: async (key, value) => area.setItem(key, value),
    delete: async (key) => area.removeItem(key),
    keys: async (prefix) => names().filter((key) => key.startsWith(prefix)),
  };
}

/** The part of IndexedDB that is used here. */
interface IdbRequest<Result> {
  result: Result;
  error: unknown;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}
interface IdbStore {
  get(key: string): IdbRequest<string | undefined>;
  put(value: string, key: string): IdbRequest<unknown>;
  delete(key: string): IdbRequest<unknown>;
  getAllKeys(): IdbRequest<string[]>;
}
interface IdbDatabase {
  createObjectStore(name: string): unknown;
  transaction(name: string, mode: "readonly" | "readwrite"): { objectStore(name: string): IdbStore };
}
interface IdbFactory {
  open(name: string, version: number): IdbRequest<IdbDatabase> & { onupgradeneeded: (() => void) | null };
}

const STORE = "texts";

const done = <Result>(request: IdbRequest<Result>): Promise<Result> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * Keeps texts in IndexedDB: as much as the disk has, shared by the tabs of an origin.
 * @param name of the database
 * @param factory `indexedDB` by default
 */
export function indexedDbStorage(
  name = "taskwire",
  factory: object = (globalThis as unknown as { indexedDB: object }).indexedDB,
): ClientStorage {
  let opened: Promise<IdbDatabase> | null = null;
  const open = (): Promise<IdbDatabase> => {
    const request = (factory as IdbFactory).open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    return done(request);
  };
  const store = async (mode: "readonly" | "readwrite"): Promise<IdbStore> => {
    opened ??= open().catch((error: unknown) => {
      opened = null;
      throw error;
    });
    return (await opened).transaction(STORE, mode).objectStore(STORE);
  };
  return {
    get: async (key) => (await done((await store("readonly")).get(key))) ?? null,
    set: async (key, value) => void (await done((await store("readwrite")).put(value, key))),
    delete: async (key) => void (await done((await store("readwrite")).delete(key))),
    keys: async (prefix) =>
      (await done((await store("readonly")).getAllKeys())).filter((key) => key.startsWith(prefix)),
  };
}

/** Writes to a storage one after another, the latest value of a key alone, and hands failures to one place. */
export class Saver {
  readonly #storage: ClientStorage;
  readonly #failed: (error: unknown) => void;
  readonly #waiting = new Map<string, (() => string) | null>();
  #work: Promise<void> | null = null;

  constructor(storage: ClientStorage, failed: (error: unknown) => void) {
    this.#storage = storage;
    this.#failed = failed;
  }

  /** @param value made when it is written; null deletes the key */
  save(key: string, value: (() => string) | null): void {
    this.#waiting.set(key, value);
    this.#work ??= this.#run();
  }

  /** Resolves when nothing waits any more. */
  async settled(): Promise<void> {
    while (this.#work !== null) await this.#work;
  }

  async #run(): Promise<void> {
    // What comes in the same turn of the event loop is written once.
    await Promise.resolve();
    for (const [key, value] of this.#waiting) {
      this.#waiting.delete(key);
      try {
        await (value === null ? this.#storage.delete(key) : this.#storage.set(key, value()));
      } catch (error) {
        this.#failed(error);
      }
    }
    this.#work = null;
  }
}
