/** Short messages at the bottom, and words for screen readers alone. */
import { useEffect, useState } from "preact/hooks";

interface Toast {
  id: number;
  words: string;
  action?: { name: string; run: () => void };
}

const SHOWN_MS = 6000;
let next = 0;
let toasts: readonly Toast[] = [];
let announced = "";
const listeners = new Set<() => void>();
const tellAll = (): void => listeners.forEach((listener) => listener());

const take = (id: number): void => {
  toasts = toasts.filter((toast) => toast.id !== id);
  tellAll();
};

/** Shows a message for some seconds, with one thing that can be done about it. */
export function toast(words: string, action?: Toast["action"]): void {
  const id = ++next;
  toasts = [...toasts.slice(-2), { id, words, ...(action && { action }) }];
  setTimeout(() => take(id), SHOWN_MS);
  tellAll();
}

/** Says something to a screen reader. */
export function announce(words: string): void {
  // A repetition is a change too: readers say only what changed.
  announced = words === announced ? `${words}\u00a0` : words;
  tellAll();
}

export function Toasts() {
  const [, redraw] = useState<object>();
  useEffect(() => {
    const listener = (): void => redraw({});
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return (
    <>
      <div class="toasts" role="status">
        {toasts.map(({ id, words, action }) => (
          <div class="toast" key={id}>
            <span>{words}</span>
            {action && (
              <button
                type="button"
                onClick={() => {
                  take(id);
                  action.run();
                }}
              >
                {action.name}
              </button>
            )}
          </div>
        ))}
      </div>
      <div class="unseen" aria-live="assertive">
        {announced}
      </div>
    </>
  );
}
