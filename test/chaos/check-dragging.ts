/**
 * Cards that many drag: each drag happened once or was refused, put its card where it was dropped, and all have one order in
 * the end. The log is the order: it has each card's position after each change.
 */
import type { Findings } from "./findings.ts";
import type { Drag, LoggedMove, Recording } from "./recording.ts";

/** The cards of the board, of all columns, in their order. */
type Board = { task: string; status: string }[];

/** Whether a card stands where a drag puts it: next to another one, or at its column's end. */
function isInPlace(board: Board, { task, status, before, after }: Drag): boolean {
  const at = board.findIndex((card) => card.task === task);
  if (at < 0 || board[at]?.status !== status) return false;
  if (before !== undefined) return board[at + 1]?.task === before;
  if (after !== undefined) return board[at - 1]?.task === after;
  return board.slice(at + 1).every((card) => card.status !== status);
}

/** The board after each change. */
function boardsOf(moves: readonly LoggedMove[]): Board[] {
  const cards = new Map<string, LoggedMove>();
  return moves.map((move) => {
    cards.set(move.task, move);
    return [...cards.values()].sort((a, b) => (a.position < b.position ? -1 : 1));
  });
}

export function checkDragging({ dragging }: Recording, findings: Findings): void {
  if (dragging === undefined) return;
  const { drags, moves, orders } = dragging;
  const boards = boardsOf(moves);
  const made = new Map<string, number>();
  moves.forEach(({ request_id }, at) => {
    if (request_id === null) return;
    if (made.has(request_id)) findings.add("doubled", `the drag ${request_id}`);
    made.set(request_id, at);
  });
  for (const one of drags) {
    const { id, client, outcome, at: began } = one;
    const at = made.get(id);
    if (outcome === "done") {
      // A card that stands there already stays, and makes no event.
      const isDone =
        at === undefined
          ? boards.some(
              (board, nth) => (moves[nth + 1]?.committed ?? Infinity) >= began && isInPlace(board, one),
            )
          : isInPlace(boards[at] as Board, one);
      if (!isDone)
        findings.add(at === undefined ? "acknowledged_gone" : "order_differs", `the drag ${id} of ${client}`);
    } else if (outcome !== "waits" && at !== undefined)
      findings.add("refused_written", `the drag ${id} of ${client}: ${outcome}`);
  }
  const { Postgres: truth = [], ...others } = orders;
  for (const [name, order] of Object.entries(others)) {
    const wrong = order.length === truth.length ? order.findIndex((id, at) => id !== truth[at]) : 0;
    if (wrong >= 0)
      findings.add(
        "order_differs",
        `${name} has ${order.length} cards of ${truth.length}, and another one at ${wrong}`,
      );
  }
}

/** How many drags the log has, and how many found their card in its place. */
export function countDrags({ drags, moves }: NonNullable<Recording["dragging"]>): {
  moved: number;
  inPlace: number;
  /** By outcome. */
  others: Map<string, number>;
} {
  const made = new Set(moves.map(({ request_id }) => request_id));
  const done = drags.filter(({ outcome }) => outcome === "done");
  const moved = done.filter(({ id }) => made.has(id)).length;
  const others = new Map<string, number>();
  for (const { outcome } of drags)
    if (outcome !== "done") others.set(outcome, (others.get(outcome) ?? 0) + 1);
  return { moved, inPlace: done.length - moved, others };
}
