import {
  missing,
  type ProblemCode,
  problemDocument,
  type ProblemDocument,
  PROBLEMS,
} from "../../core/errors.ts";

const { message: noTask, data } = missing("task", "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d");
const resource = data.resource as NonNullable<typeof data.resource>;
const message = "The 'title' field is required.";

/** Extension members of problems with these codes. */
const MORE: Partial<Record<ProblemCode, Pick<ProblemDocument, "resource" | "errors" | "results">>> = {
  "not-found": { resource },
  "validation-failed": { errors: [{ pointer: "#/title", code: "required", message }] },
  "bulk-failed": {
    results: [
      { op: "create", status: 424 },
      { op: "delete", status: 404, problem: problemDocument("not-found", noTask, { resource }) },
    ],
  },
};

const DETAILS: Partial<Record<ProblemCode, string>> = { "validation-failed": message, "not-found": noTask };
const INSTANCES: Partial<Record<ProblemCode, string>> = {
  "bulk-failed": "/api/v1/tasks/bulk",
  "not-found": `/api/v1/tasks/${resource.id}`,
};

/** An example of each problem, for the OpenAPI document and the problem's own page. */
export const problemExample = (code: ProblemCode): ProblemDocument =>
  problemDocument(code, DETAILS[code] ?? PROBLEMS[code].explain, {
    instance: INSTANCES[code] ?? "/api/v1/tasks",
    request_id: "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
    ...MORE[code],
  });
