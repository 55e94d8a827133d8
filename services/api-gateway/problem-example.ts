import { type ProblemCode, problemDocument, type ProblemDocument, PROBLEMS } from "../../core/errors.ts";

/** What an answer with this problem looks like, for the document and for the problem's own page. */
export function problemExample(code: ProblemCode): ProblemDocument {
  const { title } = PROBLEMS[code];
  const origin = { instance: "/api/v1/tasks", request_id: "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75" };
  if (code !== "validation-failed") return problemDocument(code, title, origin);
  const message = "The 'title' field is required.";
  return problemDocument(code, message, {
    ...origin,
    errors: [{ pointer: "#/title", code: "required", message }],
  });
}
