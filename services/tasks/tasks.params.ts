import type { Context, ValidationRule, ValidationRuleObject } from "fastest-validator";
import { isId } from "../../core/ids.ts";
import * as rules from "../../core/rules.ts";
import { type Move, PRIORITIES, TASK_STATUSES, type TaskFilters, type TaskInput } from "./tasks.contract.ts";

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

/** Where a task is moved to; each field may be left out. */
export const move = {
  status: { ...status, optional: true, description: "The column; the task's own by default." },
  before: { ...rules.optionalId, description: "The id of a task in that column. Not together with `after`." },
  after: {
    ...rules.optionalId,
    description: "The id of a task in that column.",
    messages: { exclusive: "Give either before or after." },
    custom: (
      value: unknown,
      errors: CheckErrors,
      _rule: ValidationRuleObject,
      _path: string,
      _parent: object | null,
      { data }: Context,
    ) => {
      if (value !== undefined && (data as Move).before !== undefined) errors.push({ type: "exclusive" });
      return rules.id.custom(value);
    },
  },
} as const satisfies Record<keyof Move, ValidationRule>;

const optionalTimestamp = { ...rules.timestamp, optional: true } as const;

/** A filter by id that takes some words too. @param expected the sentence of a refusal */
const idOrWord = (words: string[], description: string, expected: string) =>
  ({
    type: "string",
    optional: true,
    description,
    messages: { idOrWord: expected },
    custom: (value: unknown, errors: CheckErrors) => {
      if (typeof value !== "string" || words.includes(value)) return value;
      if (!isId(value)) errors.push({ type: "idOrWord" });
      return value.toLowerCase();
    },
  }) as const satisfies ValidationRule;

/** `none` finds personal tasks. */
export const projectId = idOrWord(
  ["none"],
  "A project's id, or `none` for personal tasks.",
  "The 'project_id' field takes a project's id or none.",
);

export const filters = {
  status: rules.commaList(TASK_STATUSES),
  priority: rules.commaList(PRIORITIES),
  assigned_to: idOrWord(
    ["me", "none"],
    "A user's id, `me` or `none`.",
    "The 'assigned_to' field takes a user's id, me or none.",
  ),
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
