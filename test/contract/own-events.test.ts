/** GET /events: one's own stream without a socket (docs/reference.md, The log over HTTP). */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { newId } from "../../core/ids.ts";
import { type Person, type Wire } from "../support/api.ts";
import { expectProblem } from "../support/expectations.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

let node: TestNode;
let db: pg.Client;
let ada: Person;
let ben: Person;

beforeAll(async () => {
  node = await startTestNode();
  db = new pg.Client(node.config.DATABASE_URL);
  await db.connect();
  [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
  const { id } = await ada.api.must("POST", "/projects", { name: "Launch" });
  await ada.api.must("POST", `/projects/${id}/members`, { user_id: ben.id, role: "viewer" });
  await ben.api.must("POST", "/tasks", { title: "Personal" });
});
afterAll(async () => {
  await db.end();
  await node.stop();
});

const types = ({ items }: Wire): string[] => items.map(({ type }: Wire): string => type);

test("has memberships and personal tasks of the caller, and nobody else's", async () => {
  const own = await ben.api.must("GET", "/events");
  expect(types(own)).toEqual(["member_added", "task_created"]);
  expect([own.head, own.next]).toEqual([2, `2-${own.items[1].id}`]);
  expect(own.items.every(({ stream }: Wire) => stream === `user:${ben.id}`)).toBe(true);
  expect(types(await ada.api.must("GET", "/events"))).toEqual(["member_added"]);
});

test("goes on from a cursor, and links to the next page", async () => {
  const first = await ben.api.get("/events?limit=1");
  expect(first.headers.get("link")).toBe(`</events?limit=1&after=${first.body.next}>; rel="next"`);
  expect(types(await ben.api.must("GET", `/events?after=${first.body.next}`))).toEqual(["task_created"]);
  expectProblem(await ben.api.get(`/events?after=1-${newId()}`), 409, "log-rewritten");
});

test("refuses the cursor of an event that was forgotten, and goes on from a number alone", async () => {
  const { items } = await ben.api.must("GET", "/events");
  await db.query("DELETE FROM events.log WHERE stream = $1 AND seq = 1", [`user:${ben.id}`]);
  expectProblem(await ben.api.get(`/events?after=1-${items[0].id}`), 409, "log-rewritten");
  expect(types(await ben.api.must("GET", "/events?after=0"))).toEqual(["task_created"]);
});

test("is for those who are logged in, and for tokens that reach all of their owner's", async () => {
  expectProblem(await node.api.get("/events"), 401, "unauthenticated");
  const { token } = await ada.api.must("POST", "/auth/tokens", { name: "Reader", scope: "read" });
  expect((await node.api.as(token).get("/events")).status).toBe(200);
});
