import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { expect } from "@jest/globals";
import pg from "pg";
import type { ProblemCode } from "../../core/errors.ts";
import type { Role } from "../../core/kit.ts";
import { type Answer, PASSWORD, type Person, type Wire } from "../support/api.ts";
import { mustConform } from "../support/conformance.ts";
import type { TestNode } from "../support/node.ts";

/** docs/reference.md, Conventions: UUIDv7, lower case; timestamps in UTC with `Z`. */
export const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** What no client may read: stacks, paths, SQL, driver and library words, hashes. */
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
 * A whole problem document (RFC 9457) that tells nothing of the inside.
 * @param pointers of its `errors`, in order; none: it must have no `errors`
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
  // A detail that says no more than its title says nothing.
  expect(body.detail).not.toBe(body.title);
  expect(JSON.stringify(body)).not.toMatch(INTERNALS);
  expectCommonHeaders(answer);
}

const pointersOf = ({ body }: Answer): string[] | undefined =>
  body?.errors?.map(({ pointer }: Wire): unknown => pointer);

export interface Raw {
  method?: string;
  path: string;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
}

const answerOf = (status: number, headers: Headers, text: string): Answer => ({
  status,
  headers,
  body: text === "" ? null : headers.get("content-type")?.includes("json") ? JSON.parse(text) : text,
});

/** What `fetch` can't send: paths as they are, any method, repeated or forbidden headers, bytes. */
export async function send(url: string, { method = "GET", path, headers = {}, body }: Raw): Promise<Answer> {
  const length =
    body === undefined || "Transfer-Encoding" in headers ? {} : { "Content-Length": Buffer.byteLength(body) };
  const options = { method, path, headers: { ...length, ...headers }, agent: false };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request(url, options, resolve).on("error", reject).end(body);
  const incoming = await promise;
  const fields = Object.entries(incoming.headersDistinct).flatMap(([name, values = []]) =>
    values.map((value): [string, string] => [name, value]),
  );
  const answer = answerOf(incoming.statusCode as number, new Headers(fields), await text(incoming));
  mustConform(method, path, answer);
  return answer;
}

/** A body in chunks (RFC 9112 §7.1), put together. */
function dechunk(chunks: string): string {
  const [, size = "0", rest = ""] = /^([0-9a-f]+)\r\n(.*)$/is.exec(chunks) ?? [];
  const length = parseInt(size, 16);
  return length === 0 ? "" : rest.slice(0, length) + dechunk(rest.slice(length + 2));
}

/** What isn't HTTP at all, or only nearly. The server has to close the connection. */
export async function dial(url: string, lines: string[]): Promise<Answer> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write([...lines, "Connection: close", "", ""].join("\r\n"));
  const [, head = "", body = ""] = /^(.*?)\r\n\r\n(.*)$/s.exec(await text(socket)) ?? [];
  const [status = "", ...fields] = head.split("\r\n");
  const headers = new Headers(fields.map((field) => field.split(/: (.*)/).slice(0, 2) as [string, string]));
  const whole = headers.get("transfer-encoding") === "chunked" ? dechunk(body) : body;
  return answerOf(Number(status.split(" ")[1]), headers, whole);
}

export async function openDatabase({ config }: TestNode): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: config.DATABASE_URL });
  await client.connect();
  return client;
}

export interface LogRow {
  seq: number;
  type: string;
  data: Wire;
}

/** A stream as the log holds it. */
export async function readStream(db: pg.Client, stream: string): Promise<LogRow[]> {
  const { rows } = await db.query<LogRow>(
    "SELECT seq::int, type, data FROM events.log WHERE stream = $1 ORDER BY seq",
    [stream],
  );
  return rows;
}

/** 1 … n */
export const upTo = (n: number): number[] => Array.from({ length: n }, (_, index) => index + 1);

/** How many answers had which status. */
export function tally(answers: Answer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Somebody with a global role, logged in with it. */
export async function personWithRole({ api }: TestNode, db: pg.Client, role: Role): Promise<Person> {
  const person = await api.person(role);
  await db.query("UPDATE users.users SET role = $2 WHERE id = $1", [person.id, role]);
  const { access_token, refresh_token } = await api.must("POST", "/auth/login", {
    login: person.username,
    password: PASSWORD,
  });
  return { ...person, token: access_token, refreshToken: refresh_token, api: api.as(access_token) };
}

/** An account that may not log in any more. */
export async function deactivate(db: pg.Client, { id }: { id: string }): Promise<void> {
  await db.query("UPDATE users.users SET is_active = false WHERE id = $1", [id]);
}
