/**
 * Drag and drop for the board, by mouse, touch and keyboard.
 *
 * A mouse lifts a card once it has moved a little, a finger once it has rested on it (so that a swipe still scrolls), the
 * space bar at once. Until the card is dropped nothing of the board's own elements moves: a clone follows the pointer, and
 * a wire shows the place. So a drag costs the same on a board of ten tasks and of two thousand, and events that come
 * meanwhile can redraw the board.
 */
import type { Place, Status } from "../../client/src/index.ts";

/** What the board lends to the drag. */
export interface DragHost {
  /** The columns that a task may go to, its own included; empty for one that can't be moved. */
  allowed(task: string): ReadonlySet<Status>;
  /** The card was dropped at another place than its own. */
  drop(task: string, place: Place): void;
  /** Words for a screen reader. */
  announce(words: string): void;
}

/** A place in a column: in front of the card with this number, the lifted one not counted. */
interface Spot {
  column: HTMLElement;
  index: number;
}

interface Held {
  card: HTMLElement;
  task: string;
  allowed: ReadonlySet<Status>;
  /** Where it was lifted. */
  from: Spot;
  /** Where it would land; null over a column that it can't go to. */
  spot: Spot | null;
  /** The clone under the pointer; null for the keyboard. */
  ghost: HTMLElement | null;
}

/** A mouse that moves less than this still clicks. */
const START_PX = 4;
/** A finger that moves more than this before it lifts a card scrolls. */
const SLIP_PX = 8;
const PRESS_MS = 220;
/** Near an edge the board and its columns scroll. */
const EDGE_PX = 44;
const SCROLL_PX_PER_FRAME = 11;

const statusOf = (column: HTMLElement): Status => column.dataset.status as Status;
const nameOf = (column: HTMLElement): string => column.dataset.name ?? "";

/**
 * Makes the cards of a board movable. Cards are `.card[data-task]` in the `.cards` of a `.column[data-status]`.
 * @returns ends it, and drops what is held where it was
 */
export function enableDrag(board: HTMLElement, host: DragHost): () => void {
  let held: Held | null = null;
  let pressed: { card: HTMLElement; pointer: number; x: number; y: number; timer: number } | null = null;
  let pointer = { id: -1, x: 0, y: 0 };
  let frame = 0;
  const wire = document.createElement("div");
  wire.className = "wire";
  wire.hidden = true;
  const ending = new AbortController();
  const { signal } = ending;

  const columns = (): HTMLElement[] => [...board.querySelectorAll<HTMLElement>(".column")];
  const listOf = (column: HTMLElement): HTMLElement => column.querySelector<HTMLElement>(".cards") ?? column;
  /** The cards of a column without the lifted one, which may have been drawn again meanwhile. */
  const cardsOf = (column: HTMLElement): HTMLElement[] =>
    [...column.querySelectorAll<HTMLElement>(".card[data-task]")].filter(
      (card) => card.dataset.task !== held?.task,
    );
  const cardOf = (task: string): HTMLElement | null =>
    board.querySelector<HTMLElement>(`.card[data-task="${CSS.escape(task)}"]`);
  const spotOf = (card: HTMLElement): Spot => {
    const column = card.closest<HTMLElement>(".column") as HTMLElement;
    const all = [...column.querySelectorAll<HTMLElement>(".card[data-task]")];
    return { column, index: all.indexOf(card) };
  };

  /** The first card whose middle is below `y`, by halving: a column may have hundreds. */
  function indexAt(cards: HTMLElement[], y: number): number {
    let [low, high] = [0, cards.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const { top, height } = (cards[middle] as HTMLElement).getBoundingClientRect();
      if (top + height / 2 < y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function spotAt(x: number, y: number, { allowed }: Held): Spot | null {
    const distance = (column: HTMLElement): number => {
      const { left, right } = column.getBoundingClientRect();
      return Math.max(left - x, x - right, 0);
    };
    const [column] = columns().sort((a, b) => distance(a) - distance(b));
    if (column === undefined || !allowed.has(statusOf(column))) return null;
    return { column, index: indexAt(cardsOf(column), y) };
  }

  function showWire(): void {
    const spot = held?.spot ?? null;
    wire.hidden = spot === null;
    if (spot === null) return;
    const list = listOf(spot.column).getBoundingClientRect();
    const cards = cardsOf(spot.column);
    const next = cards[spot.index]?.getBoundingClientRect();
    const last = cards.at(-1)?.getBoundingClientRect();
    const y = next ? next.top - 4 : last ? last.bottom + 4 : list.top + 6;
    const top = Math.min(Math.max(y, list.top + 2), list.bottom - 2);
    wire.style.transform = `translate(${list.left + 8}px, ${top}px)`;
    wire.style.width = `${list.width - 16}px`;
  }

  function lift(card: HTMLElement, byPointer: boolean): void {
    const task = card.dataset.task as string;
    const from = spotOf(card);
    let ghost: HTMLElement | null = null;
    if (byPointer) {
      const { width, height, left, top } = card.getBoundingClientRect();
      ghost = card.cloneNode(true) as HTMLElement;
      delete ghost.dataset.task;
      ghost.setAttribute("aria-hidden", "true");
      ghost.tabIndex = -1;
      ghost.classList.add("ghost");
      ghost.style.width = `${width}px`;
      ghost.style.height = `${height}px`;
      // The pointer stays at the place of the card where it took hold of it.
      ghost.style.marginLeft = `${left - pointer.x}px`;
      ghost.style.marginTop = `${top - pointer.y}px`;
      document.body.append(ghost);
      board.setPointerCapture(pointer.id);
    }
    held = { card, task, allowed: host.allowed(task), from, spot: from, ghost };
    card.classList.add("lifted");
    card.classList.toggle("by-key", !byPointer);
    board.classList.add("dragging");
    for (const column of columns()) column.classList.toggle("closed", !held.allowed.has(statusOf(column)));
    document.body.append(wire);
    showWire();
    if (byPointer) frame = requestAnimationFrame(follow);
  }

  /** Once a frame: the clone goes to the pointer, edges scroll, the wire shows the place. */
  function follow(): void {
    if (held?.ghost == null) return;
    const { x, y } = pointer;
    held.ghost.style.transform = `translate(${x}px, ${y}px)`;
    const { left, right } = board.getBoundingClientRect();
    board.scrollLeft +=
      x < left + EDGE_PX ? -SCROLL_PX_PER_FRAME : x > right - EDGE_PX ? SCROLL_PX_PER_FRAME : 0;
    held.spot = spotAt(x, y, held);
    if (held.spot !== null) {
      const list = listOf(held.spot.column);
      const { top, bottom } = list.getBoundingClientRect();
      list.scrollTop +=
        y < top + EDGE_PX ? -SCROLL_PX_PER_FRAME : y > bottom - EDGE_PX ? SCROLL_PX_PER_FRAME : 0;
    }
    showWire();
    frame = requestAnimationFrame(follow);
  }

  function letGo(): void {
    cancelAnimationFrame(frame);
    held?.ghost?.remove();
    wire.remove();
    for (const card of board.querySelectorAll(".lifted")) card.classList.remove("lifted", "by-key");
    board.classList.remove("dragging");
    for (const column of columns()) column.classList.remove("closed");
    held = null;
  }

  function drop(): void {
    if (held === null) return;
    const { task, from, spot } = held;
    const cards = spot === null ? [] : cardsOf(spot.column);
    letGo();
    if (spot === null || (spot.column === from.column && spot.index === from.index)) return;
    const before = cards[spot.index]?.dataset.task;
    const after = cards.at(-1)?.dataset.task;
    const status = statusOf(spot.column);
    host.drop(
      task,
      before !== undefined ? { status, before } : after !== undefined ? { status, after } : { status },
    );
  }

  // ---- Mouse and touch ----

  function forget(): void {
    if (pressed !== null) clearTimeout(pressed.timer);
    pressed = null;
  }

  board.addEventListener(
    "pointerdown",
    (event) => {
      const card = (event.target as Element).closest<HTMLElement>(".card[data-task]");
      if (card === null || event.button !== 0 || !event.isPrimary || held !== null) return;
      if (host.allowed(card.dataset.task as string).size === 0) return;
      pointer = { id: event.pointerId, x: event.clientX, y: event.clientY };
      const rest = (): void => {
        forget();
        lift(card, true);
      };
      const timer = event.pointerType === "touch" ? window.setTimeout(rest, PRESS_MS) : 0;
      pressed = { card, pointer: event.pointerId, x: event.clientX, y: event.clientY, timer };
    },
    { signal },
  );

  window.addEventListener(
    "pointermove",
    (event) => {
      if (event.pointerId !== pointer.id) return;
      pointer = { ...pointer, x: event.clientX, y: event.clientY };
      if (pressed === null) return;
      const moved = Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y);
      if (event.pointerType === "touch") {
        if (moved > SLIP_PX) forget();
      } else if (moved > START_PX) {
        const { card } = pressed;
        forget();
        lift(card, true);
      }
    },
    { signal },
  );

  window.addEventListener(
    "pointerup",
    (event) => {
      if (event.pointerId !== pointer.id) return;
      forget();
      if (held?.ghost == null) return;
      // The place is that of the pointer now, also where no frame was drawn since it moved.
      held.spot = spotAt(event.clientX, event.clientY, held);
      // The click that ends a drag opens nothing.
      const swallow = (click: MouseEvent): void => {
        click.preventDefault();
        click.stopPropagation();
      };
      window.addEventListener("click", swallow, { capture: true, once: true });
      setTimeout(() => window.removeEventListener("click", swallow, { capture: true }), 0);
      drop();
    },
    { signal },
  );
  window.addEventListener(
    "pointercancel",
    (event) => {
      if (event.pointerId !== pointer.id) return;
      forget();
      if (held?.ghost != null) letGo();
    },
    { signal },
  );
  // A finger that holds a card does not scroll, and opens no menu.
  board.addEventListener("touchmove", (event) => held !== null && event.preventDefault(), {
    signal,
    passive: false,
  });
  board.addEventListener(
    "contextmenu",
    (event) => (held !== null || pressed?.timer) && event.preventDefault(),
    { signal },
  );

  // ---- Keyboard ----

  function tell(): void {
    if (held?.spot == null) return;
    const { column, index } = held.spot;
    host.announce(`${nameOf(column)}, place ${index + 1} of ${cardsOf(column).length + 1}`);
    column.scrollIntoView({ inline: "nearest", block: "nearest" });
    cardsOf(column)[Math.max(0, index - 1)]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    showWire();
  }

  function step(key: string, { spot, allowed }: Held): void {
    if (held === null || spot === null) return;
    const { column, index } = spot;
    if (key === "ArrowUp" || key === "ArrowDown") {
      const last = cardsOf(column).length;
      held.spot = { column, index: Math.min(Math.max(index + (key === "ArrowUp" ? -1 : 1), 0), last) };
    } else {
      const open = columns().filter((one) => allowed.has(statusOf(one)));
      const next = open[open.indexOf(column) + (key === "ArrowLeft" ? -1 : 1)];
      if (next !== undefined) held.spot = { column: next, index: Math.min(index, cardsOf(next).length) };
    }
    tell();
  }

  /** The board draws the card anew at its new place; the focus goes there too. */
  function focusAgain(task: string): void {
    requestAnimationFrame(() => requestAnimationFrame(() => cardOf(task)?.focus()));
  }

  board.addEventListener(
    "keydown",
    (event) => {
      const card = (event.target as Element).closest<HTMLElement>(".card[data-task]");
      if (held === null) {
        if (event.key !== " " || card === null) return;
        event.preventDefault();
        if (host.allowed(card.dataset.task as string).size === 0) {
          host.announce("This task can't be moved.");
          return;
        }
        lift(card, false);
        host.announce("Picked up. Arrow keys move it, space drops it, Escape leaves it where it was.");
        return;
      }
      if (held.ghost !== null) return;
      event.preventDefault();
      event.stopPropagation();
      const { task } = held;
      if (event.key.startsWith("Arrow")) step(event.key, held);
      else if (event.key === " " || event.key === "Enter") {
        const { spot } = held;
        drop();
        if (spot !== null) host.announce(`Dropped in ${nameOf(spot.column)}, place ${spot.index + 1}.`);
        focusAgain(task);
      } else if (event.key === "Escape" || event.key === "Tab") {
        letGo();
        host.announce("It stays where it was.");
      }
    },
    { signal, capture: true },
  );
  // Browsers click a button when the space bar goes up again.
  board.addEventListener(
    "keyup",
    (event) => {
      if (event.key === " " && (event.target as Element).closest(".card") !== null) event.preventDefault();
    },
    { signal },
  );
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Escape" || held?.ghost == null) return;
      event.preventDefault();
      letGo();
    },
    { signal },
  );
  board.addEventListener("focusout", () => held !== null && held.ghost === null && letGo(), { signal });
  window.addEventListener("blur", () => held !== null && letGo(), { signal });
  board.addEventListener("scroll", showWire, { signal, capture: true, passive: true });

  return () => {
    forget();
    letGo();
    ending.abort();
  };
}
