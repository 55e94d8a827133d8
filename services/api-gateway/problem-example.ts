import { type ProblemCode, problemDocument, type ProblemDocument, PROBLEMS } from "../../core/errors.ts";

const message = "The 'title' field is required.";

/** What problems of these codes say besides. */
const MORE: Partial<Record<ProblemCode, Pick<ProblemDocument, "errors" | "results">>> = {
  "validation-failed": { errors: [{ pointer: "#/title", code: "required", message }] },
  "bulk-failed": {
    results: [
      { op: "create", status: 424 },
      { op: "delete", status: 404, problem: problemDocument("not-found", PROBLEMS["not-found"].title) },
    ],
  },
};

/** What an answer with this problem looks like, for the document and for the problem's own page. */
export const problemExample = (code: ProblemCode): ProblemDocument =>
  problemDocument(code, code === "validation-failed" ? message : PROBLEMS[code].title, {
    instance: code === "bulk-failed" ? "/api/v1/tasks/bulk" : "/api/v1/tasks",
    request_id: "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
    ...MORE[code],
  });
