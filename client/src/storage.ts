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

/**
 * What is kept under a key as JSON; null for nothing. A storage that fails is an empty one.
 * @param failed hears of the failure
 */
export async function readJson(
  storage: ClientStorage,
  key: string,
  failed: (error: unknown) => void,
): Promise<unknown> {
  try {
    return JSON.parse((await storage.get(key)) ?? "null") as unknown;
  } catch (error) {
    failed(error);
    return null;
  }
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
