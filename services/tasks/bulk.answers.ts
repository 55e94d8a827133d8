import { array, enumOf, exampleOf, integer, like, object, problem } from "../../core/json-schema.ts";
import { task } from "./tasks.answers.ts";
import type { BulkOperation, BulkResult } from "./tasks.contract.ts";

const OPERATIONS = [
  "create",
  "update",
  "transition",
  "assign",
  "delete",
] as const satisfies BulkOperation["op"][];

const bulkResult = object<BulkResult>(
  "BulkResult",
  {
    op: enumOf(OPERATIONS),
    status: integer(201, "The status that the request on its own would have got."),
    task,
    problem,
  },
  ["task", "problem"],
);

export const bulkAnswer = object<{ results: BulkResult[] }>("BulkAnswer", {
  results: array(like(bulkResult, { op: "create", status: 201, task: exampleOf(task) })),
});
