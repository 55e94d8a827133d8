import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, test } from "@jest/globals";
import { loadConfig } from "../../core/config.ts";
import { isoTimestamp, openDatabase } from "../../mixins/database.ts";
import { databaseProblem, violatedConstraint } from "../../mixins/database-errors.ts";
import { problem } from "./fixtures.ts";

test.each([
  ["2026-11-21 06:36:14.123+00", "2026-11-21T06:36:14.123Z"],
  ["2026-11-21 06:36:14.12+00", "2026-11-21T06:36:14.120Z"],
  ["2026-11-21 06:36:14.1+00", "2026-11-21T06:36:14.100Z"],
  ["2026-11-21 06:36:14+00", "2026-11-21T06:36:14.000Z"],
  ["0001-01-01 00:00:00+00", "0001-01-01T00:00:00.000Z"],
  ["9999-12-31 23:59:59.999+00", "9999-12-31T23:59:59.999Z"],
])("Postgres' timestamp %s is the contract's %s", (text, expected) => {
  expect(isoTimestamp(text)).toBe(expected);
});

describe("an error of the database", () => {
  const failure = (more: object, message = "secret of the server") => Object.assign(new Error(message), more);
  const headers = { "Retry-After": "1" };
  const tookTooLong = problem("timeout", {
    code: 504,
    message: "The database took too long",
    data: { headers },
  });

  test.each([
    ["a connection that failed", failure({ code: "08006" })],
    ["too many connections", failure({ code: "53300" })],
    ["a standby in place of the primary", failure({ code: "25006" })],
    ["a full disk", failure({ code: "53100" })],
    ["a shutdown", failure({ code: "57P01" })],
    ["a crash", failure({ code: "57P02" })],
    ["a start that is not over", failure({ code: "57P03" })],
    ["nobody at the port", failure({ code: "ECONNREFUSED" })],
    ["a connection that was reset", failure({ code: "ECONNRESET" })],
    ["a pipe that broke", failure({ code: "EPIPE" })],
    ["no answer to a connection", failure({ code: "ETIMEDOUT" })],
    ["an unknown host", failure({ code: "ENOTFOUND" })],
    ["a resolver that is away", failure({ code: "EAI_AGAIN" })],
    ["no route", failure({ code: "EHOSTUNREACH" })],
    ["pg's own word for a lost connection", failure({}, "Connection terminated unexpectedly")],
    ["pg's own word for a connection that came too late", failure({}, "timeout expired")],
    ["its pool's word for that", failure({}, "Connection terminated due to connection timeout")],
    ["pg's own word for a client that is broken", failure({}, "Client has encountered a connection error")],
  ])("%s: the database is away", (_what, error) => {
    const answer = databaseProblem(error);
    expect(answer).toEqual(problem("database-unavailable", { code: 503, data: { headers } }));
    expect((answer as Error).message).not.toMatch(/secret/);
  });

  test.each([
    ["a statement that was cancelled", "57014"],
    ["a lock that was not to be had", "55P03"],
  ])("%s: it took too long", (_what, code) => {
    expect(databaseProblem(failure({ code }))).toEqual(tookTooLong);
  });

  test("a statement that was sent and not answered in time: it took too long, and nothing says that it is away", () => {
    expect(databaseProblem(failure({}, "Query read timeout"))).toEqual(tookTooLong);
  });

  test("connections that are all in use: busy, not away", () => {
    const answer = databaseProblem(failure({}, "timeout exceeded when trying to connect"));
    expect(answer).toEqual(problem("overloaded", { code: 503, data: { headers } }));
  });

  test("a deadlock: one of the two may try again", () => {
    const answer = databaseProblem(failure({ code: "40P01" }));
    expect(answer).toEqual(problem("overloaded", { code: 503, data: { headers } }));
  });

  test.each(["22021", "22P05"])("text that can't be stored (%s): the client's fault", (code) => {
    expect(databaseProblem(failure({ code }))).toEqual(problem("validation-failed", { code: 422 }));
  });

  test.each([
    ["a duplicate", failure({ code: "23505" })],
    ["a syntax error", failure({ code: "42601" })],
    ["an error without a code", failure({})],
    ["something that is no error", { odd: true }],
  ])("%s stays what it is", (_what, error) => {
    expect(databaseProblem(error)).toBe(error);
  });
});

test.each([
  [{ code: "23505", constraint: "users_email_key" }, "users_email_key"],
  [{ code: "23505" }, ""],
  [{ code: "23503", constraint: "tasks_project_id_fkey" }, null],
  [new Error("boom"), null],
])("the unique constraint that %j violates is %j", (error, expected) => {
  expect(violatedConstraint(error)).toBe(expected);
});

/** A message of Postgres' protocol: its type, its length with these four bytes, its content. */
const message = (type: string, content: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(content.length + 4);
  return Buffer.concat([Buffer.from(type), length, content]);
};

test("a Postgres that ends in the packet that says it is ready fails the transaction, not the process", async () => {
  const fatal = "SFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0";
  const welcome = [message("R", Buffer.alloc(4)), message("Z", Buffer.from("I"))];
  const server = createServer((socket) => {
    socket.once("data", () => socket.end(Buffer.concat([...welcome, message("E", Buffer.from(fatal))])));
    socket.on("error", () => {});
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const lost: string[] = [];
  const db = openDatabase(
    loadConfig({ NODE_ENV: "test", DATABASE_URL: `postgres://somebody@127.0.0.1:${port}/none` }),
    (error) => lost.push(error.message),
  );
  await expect(db.transaction((tx) => tx.query({ text: "SELECT 1" }))).rejects.toMatchObject({
    type: "database-unavailable",
  });
  expect(lost).toContain("terminating connection due to unexpected postmaster exit");
  await db.close();
  server.close();
});
