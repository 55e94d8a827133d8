/** What tasks' params may be; a bulk request's operations are checked by the same rules as the requests that they stand for. */
import FastestValidator, { type ValidationRule, type ValidationRuleObject } from "fastest-validator";
import { isId } from "../../core/ids.ts";
import { strictRules } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import { type BulkOperation, PRIORITIES, TASK_STATUSES } from "./tasks.contract.ts";

type CheckErrors = { type: string; field?: string; message?: string; actual?: unknown }[];

export const title = { ...rules.text(1, 200), trim: true } as const;
export const status = { type: "enum", values: [...TASK_STATUSES] } as const;
export const project = { ...rules.text(1, 100), description: "A project's id or slug." } as const;
export const body = { ...rules.text(1, 10_000), trim: true } as const;

/** What a client may set besides the title. */
export const fields = {
  description: { ...rules.text(0, 10_000), optional: true, nullable: true },
  status: { ...status, optional: true },
  priority: { type: "enum", values: [...PRIORITIES], optional: true },
  category_id: rules.nullableId,
  assigned_to: rules.nullableId,
  due_date: { ...rules.timestamp, optional: true, nullable: true },
} as const;

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
} as const satisfies Record<string, ValidationRule>;

export const categoryName = { ...rules.line(1, 50), trim: true } as const;
export const color = {
  type: "string",
  pattern: "^#[0-9A-Fa-f]{6}$",
  custom: (value: unknown) => (typeof value === "string" ? value.toUpperCase() : value),
} as const;

const operation = (op: BulkOperation["op"], params: Record<string, ValidationRule>) => ({
  op: { type: "equal", value: op, strict: true },
  ...params,
});

/** One set of rules for each kind of operation. */
export const OPERATIONS: Record<BulkOperation["op"], Record<string, ValidationRule>> = {
  create: operation("create", { project_id: rules.nullableId, title, ...fields }),
  update: operation("update", { id: rules.id, title: { ...title, optional: true }, ...fields }),
  transition: operation("transition", { id: rules.id, to: status }),
  assign: operation("assign", { id: rules.id, assigned_to: { ...rules.id, nullable: true } }),
  delete: operation("delete", { id: rules.id }),
};

type Validator = InstanceType<typeof FastestValidator.default>;
/** As Moleculer makes its own. */
const validator = new (FastestValidator as unknown as new (options: object) => Validator)(rules.VALIDATOR);
const checks = new Map(
  Object.entries(OPERATIONS).map(([op, params]) => [op, validator.compile(strictRules(params) as never)]),
);

/** Each operation is checked as its `op` says, and what is wrong with it is told at its own place in the body. */
export const operations = {
  type: "array",
  min: 1,
  max: 100,
  items: { type: "any" },
  /** For the OpenAPI document: what the items are. */
  oneOf: Object.values(OPERATIONS),
  example: [
    { op: "create", title: "Write Note G", priority: "high" },
    { op: "transition", id: "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d", to: "completed" },
  ],
  messages: {
    operation: `An operation is an object whose op is one of ${Object.keys(OPERATIONS).join(", ")}.`,
  },
  custom: (value: unknown, errors: CheckErrors) => {
    if (!Array.isArray(value) || value.length > 100) return value;
    value.forEach((item: unknown, n) => {
      const check = checks.get(String((item as { op?: unknown } | null)?.op));
      const place = `operations[${n}]`;
      if (check === undefined) {
        errors.push({ type: "operation", field: place });
        return;
      }
      const result = check(item) as true | CheckErrors;
      if (result === true) return;
      for (const { type, message = "", actual, field } of result)
        errors.push({ type, message, actual, field: field ? `${place}.${field}` : place });
    });
    return value as unknown;
  },
} satisfies ValidationRuleObject;
