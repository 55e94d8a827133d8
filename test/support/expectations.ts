import { expect } from "@jest/globals";
import type { ProblemCode } from "../../core/errors.ts";
import type { Answer, Wire } from "./answer.ts";

/** docs/reference.md, Conventions: UUIDv7, lower case; timestamps in UTC with `Z`. */
export const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** Text that no client may read: stacks, paths, SQL, words of drivers and libraries, hashes. */
const INTERNALS =
  /\n\s+at |node_modules|\.[tj]s:\d|SELECT |INSERT |UPDATE |violates|relation|sequelize|moleculer|\$2[aby]\$/i;

const SECURITY_HEADERS = [
  "content-security-policy",
  "cross-origin-resource-policy",
  "referrer-policy",
  "strict-transport-security",
  "x-content-type-options",
  "x-frame-options",
];

/** Of every answer: docs/reference.md, Conventions. */
export function expectCommonHeaders({ headers }: Answer): void {
  expect(headers.get("x-request-id")).toMatch(/^[A-Za-z0-9._-]{1,128}$/);
  expect(headers.get("x-process-time")).toMatch(/^\d+\.\d\dms$/);
  expect(SECURITY_HEADERS.filter((name) => !headers.has(name))).toEqual([]);
  expect(headers.get("x-powered-by")).toBeNull();
}

/**
 * A whole problem document (RFC 9457) that reveals no internals.
 * @param pointers of its `errors`, in order; undefined: the document must have no `errors`
 */
export function expectProblem(answer: Answer, status: number, code: ProblemCode, pointers?: string[]): void {
  const { body, headers } = answer;
  expect({ status: answer.status, type: body?.type, pointers: pointersOf(answer) }).toEqual({
    status,
    type: `/problems/${code}`,
    pointers,
  });
  expect(headers.get("content-type")).toMatch(/^application\/problem\+json(;|$)/);
  expect(body).toEqual({
    type: `/problems/${code}`,
    title: expect.stringMatching(/./),
    status,
    detail: expect.stringMatching(/./),
    instance: expect.stringMatching(/^\//),
    request_id: headers.get("x-request-id"),
    ...(code === "not-found" &&
      body.resource !== undefined && {
        resource: { type: expect.stringMatching(/./), id: expect.stringMatching(/./) },
      }),
    ...(pointers && {
      errors: pointers.map((pointer) => ({
        pointer,
        code: expect.stringMatching(/./),
        message: expect.stringMatching(/./),
      })),
    }),
  });
  if (body.resource !== undefined) expect(body.detail).toContain(body.resource.id);
  // A detail adds to its title.
  expect(body.detail).not.toBe(body.title);
  expect(JSON.stringify(body)).not.toMatch(INTERNALS);
  expectCommonHeaders(answer);
}

const pointersOf = ({ body }: Answer): string[] | undefined =>
  body?.errors?.map(({ pointer }: Wire): unknown => pointer);
