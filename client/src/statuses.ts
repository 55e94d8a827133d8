/** The columns of a board, and the ways between them. */
import type { Status } from "./types.ts";

/** Where a task may go from each status, by `move` and `transition`. The server refuses other ways (`failed`). */
export const TRANSITIONS: Readonly<Record<Status, readonly Status[]>> = {
  pending: ["in_progress", "completed", "cancelled"],
  in_progress: ["pending", "completed", "cancelled"],
  completed: ["in_progress", "archived"],
  cancelled: ["pending", "archived"],
  archived: [],
};

/** The columns of a board, in order. */
export const STATUSES = Object.keys(TRANSITIONS) as readonly Status[];

/** Refuses what has no column: programs without types name such. @throws TypeError */
export function checkStatus(status: unknown): void {
  if (!STATUSES.includes(status as Status))
    throw new TypeError(`"${String(status)}" is not a status (${STATUSES.join(", ")})`);
}
