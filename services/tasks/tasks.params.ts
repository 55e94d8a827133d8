import type { ValidationRule } from "fastest-validator";
import { isId } from "../../core/ids.ts";
import * as rules from "../../core/rules.ts";
import { PRIORITIES, TASK_STATUSES, type TaskFilters, type TaskInput } from "./tasks.contract.ts";

type CheckErrors = { type: string }[];

export const title = { ...rules.text(1, 200), trim: true } as const;
export const status = { type: "enum", values: [...TASK_STATUSES] } as const;
export const project = { ...rules.text(1, 100), description: "A project's id or slug." } as const;

/** The fields that a client may set, except the title, which a creation requires and a PATCH does not. */
export const fields = {
  description: { ...rules.text(0, 10_000), optional: true, nullable: true },
  status: { ...status, optional: true },
  priority: { type: "enum", values: [...PRIORITIES], optional: true },
  category_id: rules.nullableId,
  assigned_to: rules.nullableId,
  due_date: { ...rules.timestamp, optional: true, nullable: true },
} as const satisfies Record<Exclude<keyof TaskInput, "title">, ValidationRule>;

const optionalTimestamp = { ...rules.timestamp, optional: true } as const;

export const filters = {
  status: rules.commaList(TASK_STATUSES),
  priority: rules.commaList(PRIORITIES),
  assigned_to: {
    type: "string",
    optional: true,
    description: "A user's id, `me` or `none`.",
    messages: { person: "The 'assigned_to' field takes a user's id, me or none." },
    custom: (value: unknown, errors: CheckErrors) => {
      if (typeof value !== "string" || value === "me" || value === "none") return value;
      if (!isId(value)) errors.push({ type: "person" });
      return value.toLowerCase();
    },
  },
  created_by: { ...rules.optionalId, description: "A user's id." },
  category_id: rules.optionalId,
  due_date_from: { ...optionalTimestamp, description: "Due at this time or later." },
  due_date_to: { ...optionalTimestamp, description: "Due at this time or earlier." },
  overdue: {
    ...rules.flag,
    description: "`true`: open tasks whose due date has passed. `false`: all other tasks.",
  },
  updated_since: { ...optionalTimestamp, description: "Changed at this time or later." },
  q: {
    ...rules.text(1, 200),
    optional: true,
    trim: true,
    description: "Words to search for in title and description.",
  },
  include_deleted: { ...rules.flag, description: "`true`: also deleted tasks that you may restore." },
  archived: { ...rules.flag, description: "`true`: only tasks of archived projects; `false`: without them." },
} as const satisfies Record<keyof TaskFilters, ValidationRule>;
