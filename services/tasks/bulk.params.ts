/** Rules for a bulk: each operation is checked by the rules of the request that it stands for. */
import FastestValidator, { type ValidationRule, type ValidationRuleObject } from "fastest-validator";
import { strictRules } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import type { BulkOperation } from "./tasks.contract.ts";
import { fields, status, title } from "./tasks.params.ts";

type CheckErrors = { type: string; field?: string; message?: string; actual?: unknown }[];

const OPERATIONS_MAX = 100;

const operation = (op: BulkOperation["op"], params: Record<string, ValidationRule>) => ({
  op: { type: "equal", value: op, strict: true },
  ...params,
});

export const OPERATIONS: Record<BulkOperation["op"], Record<string, ValidationRule>> = {
  create: operation("create", { project_id: rules.nullableId, title, ...fields }),
  update: operation("update", { id: rules.id, title: { ...title, optional: true }, ...fields }),
  transition: operation("transition", { id: rules.id, to: status }),
  assign: operation("assign", { id: rules.id, assigned_to: { ...rules.id, nullable: true } }),
  delete: operation("delete", { id: rules.id }),
};

type Validator = InstanceType<typeof FastestValidator.default>;
/** Made as Moleculer makes its own. */
const validator = new (FastestValidator as unknown as new (options: object) => Validator)(rules.VALIDATOR);
const checks = new Map(
  Object.entries(OPERATIONS).map(([op, params]) => [op, validator.compile(strictRules(params) as never)]),
);

/** Checks each operation as its `op` says; an error's pointer leads into the operation. */
export const operations = {
  type: "array",
  min: 1,
  max: OPERATIONS_MAX,
  items: { type: "any" },
  /** The items, for the OpenAPI document. */
  oneOf: Object.values(OPERATIONS),
  example: [
    { op: "create", title: "Write Note G", priority: "high" },
    { op: "transition", id: "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d", to: "completed" },
  ],
  messages: {
    operation: `An operation is an object whose op is one of ${Object.keys(OPERATIONS).join(", ")}.`,
  },
  custom: (value: unknown, errors: CheckErrors) => {
    if (!Array.isArray(value) || value.length > OPERATIONS_MAX) return value;
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
