/** Server-sent events (docs/reference.md, Server-sent events). */
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import { type Person, type Wire } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { EventReader } from "../support/event-reader.ts";
import { expectProblem } from "../support/expectations.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { useShortToken } from "../support/short-token.ts";

let node: TestNode;
let ada: Person;
let ben: Person;
const readers: EventReader[] = [];

const open = async (path: string, { token }: { token: string } = ben, headers = {}): Promise<EventReader> => {
  const reader = await EventReader.open(node.url + path, token, headers);
  readers.push(reader);
  return reader;
};
async function newProject(): Promise<{ id: string; path: string }> {
  const { id } = await ada.api.must("POST", "/projects", { name: "Launch" });
  await ada.api.must("POST", `/projects/${id}/members`, { user_id: ben.id, role: "member" });
  return { id, path: `/projects/${id}/events/stream` };
}
const createTask = (project: string): Promise<Wire> =>
  ada.api.must("POST", `/projects/${project}/tasks`, { title: "Write it" });
const waiting = (count: number) =>
  until(() => (node.broker.getLocalService("notifier") as Wire).waits.size === count, 5000);

beforeAll(async () => {
  node = await startTestNode();
  [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
});
afterEach(() => readers.splice(0).forEach((reader) => reader.close()));
afterAll(() => node.stop());

test("begins at the present position, and sends each event with its cursor as it happens", async () => {
  const { id, path } = await newProject();
  const reader = await open(path);
  expect(reader.headers.get("content-type")).toBe("text/event-stream");
  expect(reader.headers.get("cache-control")).toBe("no-store");
  await reader.waitFor(() => reader.lastId !== "");
  expect(reader.lastId).toMatch(/^2-/);
  await createTask(id);
  const since = calmNow();
  await reader.waitFor(() => reader.frames.length === 1);
  expect(calmNow() - since).toBeLessThan(1000);
  const [{ event, data, lastId }] = reader.frames as [Wire];
  expect([event, data.seq, lastId]).toEqual(["task_created", 3, `3-${data.id}`]);
});

test("resumes after `after` or Last-Event-ID, without a hole or a repeat", async () => {
  const { id, path } = await newProject();
  for (let n = 0; n < 60; n++) await createTask(id);
  const reader = await open(`${path}?after=0`);
  await reader.waitFor(() => reader.frames.length === 62);
  reader.close();
  await createTask(id);
  const again = await open(`${path}?after=0`, ben, { "Last-Event-ID": reader.lastId });
  await createTask(id);
  await again.waitFor(() => again.frames.length === 2);
  expect(again.frames.map(({ data }) => data.seq)).toEqual([63, 64]);
});

test("says `reset` where the log does not go on from the cursor", async () => {
  const { id, path } = await newProject();
  const reader = await open(`${path}?after=1-${newId()}`);
  await reader.waitFor(() => reader.frames.length === 1);
  const [{ event, data, lastId }] = reader.frames as [Wire];
  expect([event, data]).toEqual(["reset", { stream: `project:${id}`, cursor: lastId }]);
  await createTask(id);
  await reader.waitFor(() => reader.frames.length === 2);
  expect(reader.frames[1]?.data.seq).toBe(3);
});

test("carries one's own stream", async () => {
  const reader = await open("/events/stream");
  await reader.waitFor(() => reader.lastId !== "");
  const { id } = await newProject();
  await reader.waitFor(() => reader.frames.length === 1);
  expect(reader.frames[0]?.data.data.project.id).toBe(id);
});

test("ends with the membership, and sends nothing that is committed after that", async () => {
  const { id, path } = await newProject();
  const reader = await open(path);
  await reader.waitFor(() => reader.lastId !== "");
  await ada.api.must("DELETE", `/projects/${id}/members/${ben.id}`);
  const since = calmNow();
  await createTask(id);
  await reader.ended;
  expect(calmNow() - since).toBeLessThan(1000);
  expect(reader.frames).toEqual([]);
  expectProblem(await ben.api.get(path), 404, "not-found");
});

test("ends with its session, and with its token", async () => {
  const eve = await node.api.person("eve");
  const reader = await open("/events/stream", eve);
  await reader.waitFor(() => reader.lastId !== "");
  await eve.api.must("POST", "/auth/logout");
  const since = calmNow();
  await reader.ended;
  expect(calmNow() - since).toBeLessThan(1000);

  const { result: short, ms } = await useShortToken(ada, (token) =>
    open("/events/stream", { token }).catch(() => null),
  );
  const opened = calmNow();
  await short.ended;
  expect(calmNow() - opened).toBeLessThan(ms + 2000);
});

test("frees its place when the client goes", async () => {
  const reader = await open("/events/stream");
  expect(await waiting(1)).toBe(true);
  reader.close();
  expect(await waiting(0)).toBe(true);
});

test("refuses what it can't serve before it begins", async () => {
  expectProblem(await node.api.get("/events/stream"), 401, "unauthenticated");
  const { path } = await newProject();
  const eve = await node.api.person("eve");
  expectProblem(await eve.api.get(path), 404, "not-found");
  expectProblem(await ben.api.get(path, { "Last-Event-ID": "x" }), 422, "validation-failed", ["?after"]);
  expectProblem(await ben.api.get(path, { Accept: "application/json" }), 406, "not-acceptable");
  expect((await ben.api.request("HEAD", path)).status).toBe(200);
});

test("a user has 20 of them, and a node that stops ends them at once", async () => {
  const other = await startTestNode({ RATE_LIMIT: "on" });
  const eve = await other.api.person("eve");
  const all = await Promise.all(
    Array.from({ length: 20 }, () => EventReader.open(`${other.url}/events/stream`, eve.token)),
  );
  expectProblem(await eve.api.get("/events/stream"), 429, "rate-limited");
  all.pop()?.close();
  expect(
    await until(async () => {
      const one = await EventReader.open(`${other.url}/events/stream`, eve.token).catch(() => null);
      if (one !== null) all.push(one);
      return one !== null;
    }, 10_000),
  ).toBe(true);
  const since = calmNow();
  await Promise.all([other.stop(), ...all.map(({ ended }) => ended)]);
  expect(calmNow() - since).toBeLessThan(2500);
});
