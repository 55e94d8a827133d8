import { Problem } from "../../core/errors.ts";
import type { TaskStatus } from "./tasks.contract.ts";

/**
 * The life of a task (docs/reference.md, Status):
 *
 *     pending ◀──▶ in_progress ◀──▶ completed ──▶ archived
 *        ▲ └──────────────────────────▲                ▲
 *        └──▶ cancelled ◀── in_progress    cancelled ──┘
 *
 * Nothing leaves `archived`.
 */
export const TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  pending: ["in_progress", "completed", "cancelled"],
  in_progress: ["pending", "completed", "cancelled"],
  completed: ["in_progress", "archived"],
  cancelled: ["pending", "archived"],
  archived: [],
};

/** @throws Problem illegal-transition */
export function checkTransition(from: TaskStatus, to: TaskStatus): void {
  if (!TRANSITIONS[from].includes(to))
    throw new Problem("illegal-transition", `A task can't move from ${from} to ${to}`);
}

/** The time of completion of a task that moves to `to` at `now`. An archived task keeps it. */
export function completedAt(
  { status, completed_at }: { status: TaskStatus; completed_at: string | null },
  to: TaskStatus,
  now: string,
): string | null {
  if (to === "completed") return status === "completed" ? completed_at : now;
  return to === "archived" ? completed_at : null;
}
