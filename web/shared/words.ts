/** What the pages say: names, times, and a sentence for each event. */
import type { Priority, Role, Status, Task, TaskwireEvent } from "../../client/src/index.ts";

export const STATUSES: readonly { status: Status; name: string }[] = [
  { status: "pending", name: "To do" },
  { status: "in_progress", name: "In progress" },
  { status: "completed", name: "Done" },
  { status: "cancelled", name: "Cancelled" },
  { status: "archived", name: "Archived" },
];
export const statusName = (status: Status): string =>
  STATUSES.find((one) => one.status === status)?.name ?? status;

export const PRIORITIES: readonly Priority[] = ["low", "medium", "high", "urgent"];
export const ROLES: readonly Role[] = ["viewer", "member", "manager", "owner"];

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
export const titleOf = ({ title }: Pick<Task, "title">): string => title ?? "[redacted]";

interface Named {
  username?: string;
  first_name?: string | null;
  last_name?: string | null;
}

/** How a person is called: by their names, else by their user name. */
export const fullName = ({ username, first_name, last_name }: Named): string =>
  [first_name, last_name].filter(Boolean).join(" ") || (username ?? "…");

export function initials(person: Named): string {
  const parts = fullName(person)
    .split(/[\s._-]+/)
    .filter(Boolean);
  const first = [...(parts[0] ?? "")][0] ?? "";
  const last = parts.length > 1 ? ([...(parts.at(-1) ?? "")][0] ?? "") : "";
  return (first + last).toUpperCase();
}

/** A number from 0 to 6 that stays the same for an id. */
export const hueOf = (id: string): number =>
  [...id].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 9973, 7) % 7;

const DAY_MS = 86_400_000;
const startOfDay = (time: number): number => new Date(time).setHours(0, 0, 0, 0);

const sameYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const otherYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** A day in the reader's own time zone: `Today`, `Tomorrow`, `14 Mar`. */
export function day(iso: string, now = Date.now()): string {
  const time = Date.parse(iso);
  const days = Math.round((startOfDay(time) - startOfDay(now)) / DAY_MS);
  if (days === 0) return "Today";
  if (days === 1) return "Tomorrow";
  if (days === -1) return "Yesterday";
  const format = new Date(time).getFullYear() === new Date(now).getFullYear() ? sameYear : otherYear;
  return format.format(time);
}

/** `just now`, `12 min ago`, `Today 09:41`, `14 Mar 09:41`. */
export function ago(iso: string, now = Date.now()): string {
  const minutes = Math.floor((now - Date.parse(iso)) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  return `${day(iso, now)} ${clock.format(Date.parse(iso))}`;
}

/** Whether an open task is late, or due within two days. */
export function lateness({ due_date, status }: Task, now = Date.now()): "true" | "soon" | "false" {
  if (due_date === null || (status !== "pending" && status !== "in_progress")) return "false";
  const left = Date.parse(due_date) - now;
  return left < 0 ? "true" : left < 2 * DAY_MS ? "soon" : "false";
}

/** What happened, without who did it and to what: `completed`, `moved … to Done`. */
export interface Sentence {
  verb: string;
  /** The task that it is about. */
  task: { id: string; title: string } | null;
  /** What follows the task's title. */
  rest: string;
}

type Changes = Record<string, { old?: unknown; new?: unknown } | undefined>;

/** Data as the page reads it: each event has some of these. */
interface AnyData {
  task?: Task;
  task_id?: string;
  comment?: { task_id: string; body: string | null };
  member?: { user_id: string; role: Role };
  changes?: Changes;
}

const FIELDS: Record<string, string> = {
  title: "title",
  description: "description",
  priority: "priority",
  due_date: "due date",
  category_id: "category",
  status: "status",
  project_id: "project",
  position: "place",
};

function changed(changes: Changes): string {
  const names = Object.keys(changes).map((field) => FIELDS[field] ?? field);
  const status = changes.status?.new;
  if (names.length === 1 && typeof status === "string") return `to ${statusName(status as Status)}`;
  const priority = changes.priority?.new;
  if (names.length === 1 && typeof priority === "string") return `to ${priority} priority`;
  return names.length === 0 ? "" : `(${names.join(", ")})`;
}

/**
 * An event in words.
 * @param nameOf a user's name by id
 * @param taskOf a task's title by id, for events that name no title
 */
export function sentence(
  event: TaskwireEvent,
  nameOf: (id: string) => string,
  taskOf: (id: string) => string = () => "a task",
): Sentence {
  const data = event.data as unknown as AnyData;
  const { task, comment, member, changes = {} } = data;
  const id = task?.id ?? comment?.task_id ?? null;
  const about = id === null ? null : { id, title: task ? titleOf(task) : taskOf(id) };
  const who = member ? nameOf(member.user_id) : "";
  const of = (verb: string, rest = ""): Sentence => ({ verb, task: about, rest });
  const { type } = event;
  switch (type) {
    case "task_created":
      return of("created");
    case "task_updated":
      return of(changes.status ? "moved" : "changed", changed(changes));
    case "task_moved":
      return of("moved", changes.status ? changed({ status: changes.status }) : "within its column");
    case "task_assigned":
      return of("assigned", task?.assigned_to == null ? "to nobody" : `to ${nameOf(task.assigned_to)}`);
    case "task_completed":
      return of("completed");
    case "task_deleted":
      return of("deleted");
    case "task_restored":
      return of("restored");
    case "task_redacted":
      return of("redacted");
    case "task_due_soon":
      return of("reminds everyone of");
    case "comment_created":
      return of("commented on");
    case "comment_updated":
      return of("changed a comment on");
    case "comment_deleted":
      return of("deleted a comment on");
    case "comment_redacted":
      return of("redacted a comment on");
    case "project_updated":
      return { verb: "changed the project", task: null, rest: "" };
    case "project_deleted":
      return { verb: "deleted the project", task: null, rest: "" };
    case "project_restored":
      return { verb: "restored the project", task: null, rest: "" };
    case "member_added":
      return { verb: `added ${who} as ${member?.role ?? "member"}`, task: null, rest: "" };
    case "member_updated":
      return { verb: `made ${who} ${member?.role ?? "member"}`, task: null, rest: "" };
    case "member_removed":
      return { verb: `removed ${who}`, task: null, rest: "" };
    default:
      // A server that is newer than this page may have types that it does not know.
      return { verb: String(type).replaceAll("_", " "), task: about, rest: "" };
  }
}
