/** @taskwire/client/indexeddb: a storage for pages that keep large boards. An entry of its own, for few programs need it. */
import type { ClientStorage } from "./types.ts";

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
