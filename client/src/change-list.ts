/** The changes of a project in the order in which they were made, in memory and in the storage. */
import { isTemporary, type Kept } from "./changes.ts";
import type { Saver } from "./storage.ts";
import type { ClientStorage } from "./types.ts";

export class ChangeList {
  readonly #storage: ClientStorage;
  readonly #saver: Saver;
  /** Temporary ids, and what they became. */
  readonly #ids = new Map<string, string>();
  #all: Kept[] = [];
  /** What the keys begin with; null before `load`. */
  #prefix: string | null = null;

  constructor(storage: ClientStorage, saver: Saver) {
    this.#storage = storage;
    this.#saver = saver;
  }

  get all(): readonly Kept[] {
    return this.#all;
  }

  /** Whether what an earlier page left is known. */
  get isLoaded(): boolean {
    return this.#prefix !== null;
  }

  /** The real id of a temporary one, if it has one; other ids as they are. */
  realId(id: string): string {
    return this.#ids.get(id) ?? id;
  }

  /**
   * Takes up what an earlier page left.
   * @param prefix what the keys of its changes begin with
   * @throws what the storage throws; the list works all the same
   */
  async load(prefix: string): Promise<void> {
    const kept: Kept[] = [];
    try {
      for (const key of await this.#storage.keys(prefix)) {
        const text = await this.#storage.get(key);
        if (text !== null) kept.push(JSON.parse(text) as Kept);
      }
    } finally {
      for (const change of kept) if (change.state === "sending") change.state = "pending";
      // What was added meanwhile is not in the storage yet.
      this.#all = [...kept, ...this.#all].sort((a, b) => a.made_at - b.made_at);
      this.#prefix = prefix;
      for (const change of this.#all) this.save(change);
    }
  }

  find(id: string | null): Kept | undefined {
    return this.#all.find((change) => change.id === id);
  }

  has(change: Kept): boolean {
    return this.#all.includes(change);
  }

  add(change: Kept): void {
    this.#all = [...this.#all, change];
    this.save(change);
  }

  remove(change: Kept): void {
    this.#all = this.#all.filter((other) => other !== change);
    this.#write(change, null);
  }

  /** Writes a change down. What the server has confirmed is not kept. */
  save(change: Kept): void {
    this.#write(change, change.state === "sent" ? null : () => JSON.stringify(change));
  }

  /** A temporary id has become a real one, in all that waits as well. */
  name(temporary: string, id: string): void {
    this.#ids.set(temporary, id);
    const named = (value: unknown): unknown => (value === temporary ? id : value);
    for (const change of this.#all) {
      change.task = named(change.task) as string;
      change.comment = named(change.comment) as string | null;
      for (const field of ["before", "after"])
        if (field in change.body) change.body = { ...change.body, [field]: named(change.body[field]) };
      this.save(change);
    }
  }

  /** Whether a change is about something that the server does not have yet. */
  isBlocked({ kind, task, comment, body }: Kept): boolean {
    const named = [kind !== "create" && task, kind !== "comment" && comment, body.before, body.after];
    return named.some((id) => typeof id === "string" && isTemporary(id));
  }

  /** Removes a change, and what was built on the task or comment that it would have made. @returns what was removed */
  discard(change: Kept): Kept[] {
    this.remove(change);
    const { kind, task, comment } = change;
    const removed = [change];
    for (const other of this.#all)
      if (!this.has(other)) continue;
      else if (
        (kind === "create" && other.task === task) ||
        (kind === "comment" && other.comment === comment)
      )
        removed.push(...this.discard(other));
      else if (kind === "create" && (other.body.before === task || other.body.after === task)) {
        const { before: _before, after: _after, ...body } = other.body;
        other.body = body;
        this.save(other);
      }
    return removed;
  }

  #write({ id }: Kept, value: (() => string) | null): void {
    if (this.#prefix !== null) this.#saver.save(this.#prefix + id, value);
  }
}
