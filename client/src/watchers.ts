/** Those who watch a store: they hear of its changes once for each turn of the event loop. */
export class Watchers {
  readonly #listeners = new Set<() => void>();
  readonly #failed: (error: unknown) => void;
  /** Whether the listeners will hear of the last change. */
  #isTelling = false;

  /** @param failed hears what a listener threw */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  /** @returns the end of it */
  add(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Something else is to be shown. */
  tell(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      for (const listener of [...this.#listeners])
        try {
          listener();
        } catch (error) {
          this.#failed(error);
        }
    });
  }

  /**
   * Looks now, and after each change.
   * @param look throws to end it
   * @returns what `look` gives as soon as that is not null
   */
  async until<Seen>(look: () => Seen | null): Promise<Seen> {
    for (;;) {
      const seen = look();
      if (seen !== null) return seen;
      await new Promise<void>((resolve) => {
        const end = this.add(() => {
          end();
          resolve();
        });
      });
    }
  }
}
