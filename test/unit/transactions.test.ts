import { beforeEach, expect, jest, test } from "@jest/globals";
import realPg from "pg";
import { loadConfig } from "../../core/config.ts";

/** A connection whose statements end as the test says, and what became of it. */
class Connection {
  readonly sent: string[] = [];
  released: unknown[] = [];
  failing: RegExp = /never/;
  query(statement: string | { text: string }): Promise<{ rows: object[] }> {
    const text = typeof statement === "string" ? statement : statement.text;
    this.sent.push(text);
    return this.failing.test(text) ? Promise.reject(new Error(`no ${text}`)) : Promise.resolve({ rows: [] });
  }
  release(error?: unknown): void {
    this.released.push(error);
  }
}
let connection = new Connection();

class Pool {
  on(): void {}
  connect = () => Promise.resolve(connection);
  end = () => Promise.resolve();
}
jest.unstable_mockModule("pg", () => ({ default: { ...realPg, types: realPg.types, Pool } }));
const { openDatabase } = await import("../../mixins/database.ts");
const db = openDatabase(
  loadConfig({ NODE_ENV: "test", DATABASE_URL: "postgres://nobody@127.0.0.1/none" }),
  () => {},
);

beforeEach(() => void (connection = new Connection()));

const failed = (failing: RegExp) => {
  connection.failing = failing;
  return expect(db.transaction((tx) => tx.query({ text: "SELECT 1" }))).rejects.toThrow("no SELECT 1");
};

test("a connection goes back to the others after its transaction was rolled back", async () => {
  await failed(/SELECT/);
  expect([connection.sent, connection.released]).toEqual([["BEGIN", "SELECT 1", "ROLLBACK"], [undefined]]);
});

test("a connection that can't even roll back goes to nobody else", async () => {
  await failed(/SELECT|ROLLBACK/);
  expect(connection.released).toEqual([new Error("no ROLLBACK")]);
});
