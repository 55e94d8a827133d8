/** POST /sync: all streams of a client in one request (docs/reference.md, Sync). */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import type { Waits } from "../../services/notifier/waits.ts";
import { type Api, type Person, type Wire } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { expectProblem } from "../support/expectations.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { useShortToken } from "../support/short-token.ts";

let node: TestNode;
let db: pg.Client;
let ada: Person;
let ben: Person;

beforeAll(async () => {
  node = await startTestNode();
  db = new pg.Client(node.config.DATABASE_URL);
  await db.connect();
  [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
});
afterAll(async () => {
  await db.end();
  await node.stop();
});

/** Ada's project with Ben in it: its stream is at 2. */
async function newProject(): Promise<{ id: string; stream: string }> {
  const { id } = await ada.api.must("POST", "/projects", { name: "Launch" });
  await ada.api.must("POST", `/projects/${id}/members`, { user_id: ben.id, role: "member" });
  return { id, stream: `project:${id}` };
}
const createTask = (project: string, title = "Write it"): Promise<Wire> =>
  ada.api.must("POST", `/projects/${project}/tasks`, { title });
const sync = (api: Api, cursors: object = {}, more: object = {}): Promise<Wire> =>
  api.must("POST", "/sync", { cursors, ...more });
const shape = ({ events }: Wire): [number, string][] => events.map(({ seq, type }: Wire) => [seq, type]);
const waits = (): Waits => (node.broker.getLocalService("notifier") as unknown as { waits: Waits }).waits;
const waiting = (count = 1) => until(() => waits().size === count, 5000);

describe("without waiting", () => {
  test("the first sync gives the streams that one has, each at its present position", async () => {
    const { stream } = await newProject();
    const first = await sync(ben.api);
    expect(first.gained).toEqual(expect.arrayContaining([stream, `user:${ben.id}`]));
    expect(Object.keys(first.cursors).sort()).toEqual(first.gained.toSorted());
    expect([first.events, first.lost, first.reset, first.more]).toEqual([[], [], [], false]);
    expect(first.cursors[stream]).toMatch(/^2-/);
    expect(await sync(ben.api, first.cursors)).toEqual({ ...first, gained: [] });
  });

  test("the next one gives what happened since, in each stream's order, deletions included", async () => {
    const [one, two] = [await newProject(), await newProject()];
    const { cursors } = await sync(ben.api);
    const { id } = await createTask(one.id);
    await createTask(two.id);
    await ada.api.must("DELETE", `/tasks/${id}`);
    const next = await sync(ben.api, cursors);
    expect(shape({ events: next.events.filter((event: Wire) => event.stream === one.stream) })).toEqual([
      [3, "task_created"],
      [4, "task_deleted"],
    ]);
    expect(next.events).toHaveLength(3);
    expect(next.cursors[one.stream]).toBe(`4-${next.events.find(({ seq }: Wire) => seq === 4).id}`);
    expect([next.gained, next.lost, next.reset, next.more]).toEqual([[], [], [], false]);
  });

  test("gives no more than `limit`, a share of it to each stream, and says that there is more", async () => {
    const [one, two] = [await newProject(), await newProject()];
    let { cursors } = await sync(ben.api);
    for (let n = 0; n < 5; n++) await createTask(one.id);
    await createTask(two.id);
    const seen: Wire[] = [];
    for (let more = true, n = 0; more && n < 10; n++) {
      const page = await sync(ben.api, cursors, { limit: 2 });
      expect(page.events.length).toBeLessThanOrEqual(2);
      if (n === 0) expect(new Set(page.events.map(({ stream }: Wire) => stream)).size).toBe(2);
      seen.push(...page.events);
      ({ cursors, more } = page);
    }
    expect(seen.filter(({ stream }) => stream === one.stream).map(({ seq }) => seq)).toEqual([3, 4, 5, 6, 7]);
    expect(seen).toHaveLength(6);
  });

  test("a membership that is lost is lost, and one that comes is gained", async () => {
    const { id, stream } = await newProject();
    const { cursors } = await sync(ben.api);
    await ada.api.must("DELETE", `/projects/${id}/members/${ben.id}`);
    await createTask(id, "Not for Ben");
    const without = await sync(ben.api, cursors);
    expect([without.lost, stream in without.cursors]).toEqual([[stream], false]);
    expect(without.events.map(({ type }: Wire) => type)).toEqual(["member_removed"]);
    expect(without.events[0].stream).toBe(`user:${ben.id}`);
    await ada.api.must("POST", `/projects/${id}/members`, { user_id: ben.id, role: "viewer" });
    const again = await sync(ben.api, without.cursors);
    expect([again.gained, again.lost, again.cursors[stream]]).toEqual([
      [stream],
      [],
      expect.stringMatching(/^5-/),
    ]);
  });

  test("a cursor of another history, and one that was forgotten, are reset and not followed", async () => {
    const [one, two, three] = [await newProject(), await newProject(), await newProject()];
    for (const { id } of [one, two, three]) await createTask(id);
    const { cursors } = await sync(ben.api);
    for (const { id } of [one, two, three]) await createTask(id);
    await db.query("DELETE FROM events.log WHERE stream = $1 AND seq <= 3", [two.stream]);
    const { cursors: after, ...rest } = await sync(ben.api, {
      ...cursors,
      [one.stream]: `3-${newId()}`,
      [three.stream]: `9-${newId()}`,
    });
    expect(rest.reset.toSorted()).toEqual([one.stream, two.stream, three.stream].toSorted());
    expect(rest.events).toEqual([]);
    for (const { stream } of [one, two, three]) expect(after[stream]).toMatch(/^4-/);
  });

  test("a number alone is followed without a look at the event", async () => {
    const { id, stream } = await newProject();
    const { cursors } = await sync(ben.api);
    await createTask(id);
    const { events, cursors: after } = await sync(ben.api, { ...cursors, [stream]: "1" });
    expect(shape({ events })).toEqual([
      [2, "member_added"],
      [3, "task_created"],
    ]);
    expect(after[stream]).toBe(`3-${events[1].id}`);
  });

  test("takes the cursors of 5,000 streams, and no more", async () => {
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, () => [`project:${newId()}`, `41-${newId()}`]));
    const { lost } = await sync(ada.api, many(5000));
    expect(lost).toHaveLength(5000);
    expectProblem(await ada.api.post("/sync", { cursors: many(5001) }), 422, "validation-failed", ["#"]);
  });

  test.each<[{ cursors?: object; limit?: number; wait?: number; streams?: object }, string | undefined]>([
    [{ cursors: { tasks: "1" } }, "#/cursors/tasks"],
    [{ cursors: { [`user:${newId()}`]: "x" } }, undefined],
    [{ cursors: { [`user:${newId()}`]: 41 } }, undefined],
    [{ cursors: [] }, "#/cursors"],
    [{ limit: 1001 }, "#/limit"],
    [{ limit: 0 }, "#/limit"],
    [{ wait: 31 }, "#/wait"],
    [{ streams: [] }, "#/streams"],
  ])("refuses %j", async (body, pointer) => {
    const answer = await ada.api.post("/sync", body);
    const [stream] = Object.keys(body.cursors ?? {});
    expectProblem(answer, 422, "validation-failed", [pointer ?? `#/cursors/${stream}`]);
  });

  test("changes nothing: a key is refused, a token that may only read is not", async () => {
    expectProblem(await ada.api.post("/sync", {}, { "Idempotency-Key": "x" }), 400, "malformed-request");
    expectProblem(await node.api.post("/sync", {}), 401, "unauthenticated");
    const { token } = await ada.api.must("POST", "/auth/tokens", { name: "Reader", scope: "read" });
    expect((await sync(node.api.as(token))).gained).toContain(`user:${ada.id}`);
  });

  test("gives a token that is limited to projects these, and not its owner's own stream", async () => {
    const [inside, outside] = [await newProject(), await newProject()];
    const { token } = await ada.api.must("POST", "/auth/tokens", {
      name: "CI",
      scope: "read",
      project_ids: [inside.id],
    });
    const limited = node.api.as(token);
    expect((await sync(limited)).gained).toEqual([inside.stream]);
    const { lost, events } = await sync(limited, { [outside.stream]: "0", [`user:${ada.id}`]: "0" });
    expect([lost.toSorted(), events]).toEqual([[outside.stream, `user:${ada.id}`].toSorted(), []]);
  });
});

describe("with `wait`", () => {
  test("answers with the first event, as soon as it is committed", async () => {
    const { id } = await newProject();
    const { cursors } = await sync(ben.api);
    const answer = sync(ben.api, cursors, { wait: 30 });
    expect(await waiting()).toBe(true);
    await createTask(id);
    const since = calmNow();
    expect(shape(await answer)).toEqual([[3, "task_created"]]);
    expect(calmNow() - since).toBeLessThan(500);
    expect(waits().size).toBe(0);
  });

  test("answers with nothing after its time, and at once where there is something", async () => {
    const { id } = await newProject();
    const { cursors } = await sync(ben.api);
    const since = performance.now();
    const { events, cursors: after } = await sync(ben.api, cursors, { wait: 1 });
    expect([events, after]).toEqual([[], cursors]);
    expect(performance.now() - since).toBeGreaterThan(990);
    await createTask(id);
    expect((await sync(ben.api, cursors, { wait: 30 })).events).toHaveLength(1);
  });

  test("is told of an event that no hint announced, by the beat", async () => {
    const { id, stream } = await newProject();
    const { cursors } = await sync(ben.api);
    const answer = sync(ben.api, cursors, { wait: 30 });
    expect(await waiting()).toBe(true);
    const event = newId();
    await db.query(
      `WITH head AS (UPDATE events.streams SET head = head + 1, last_id = $2 WHERE name = $1 RETURNING head)
       INSERT INTO events.log (id, stream, seq, type, time, data)
       SELECT $2, $1, head, 'project_updated', now(), $3 FROM head`,
      [
        stream,
        event,
        {
          project: {
            ...(({ role: _role, task_counts: _counts, ...project }) => project)(
              await ada.api.must("GET", `/projects/${id}`),
            ),
          },
          changes: {},
        },
      ],
    );
    expect((await answer).events.map((one: Wire) => one.id)).toEqual([event]);
  });

  test("is told of a membership that is gained and of one that is lost", async () => {
    const { id, stream } = await newProject();
    const { cursors } = await sync(ben.api);
    const lost = sync(ben.api, cursors, { wait: 30 });
    expect(await waiting()).toBe(true);
    await ada.api.must("DELETE", `/projects/${id}/members/${ben.id}`);
    const without = await lost;
    expect(without.lost).toEqual([stream]);
    let next = without;
    while (next.events.length === 0) next = await sync(ben.api, next.cursors, { wait: 30 });
    const gained = sync(ben.api, next.cursors, { wait: 30 });
    expect(await waiting()).toBe(true);
    await ada.api.must("POST", `/projects/${id}/members`, { user_id: ben.id, role: "viewer" });
    expect((await gained).gained).toEqual([stream]);
  });

  test("ends with its session, and with its token", async () => {
    const eve = await node.api.person("eve");
    const { cursors } = await sync(eve.api);
    const answer = eve.api.post("/sync", { cursors, wait: 30 });
    expect(await waiting()).toBe(true);
    await eve.api.must("POST", "/auth/logout");
    const since = calmNow();
    expectProblem(await answer, 401, "invalid-token");
    expect(calmNow() - since).toBeLessThan(1000);

    const { token, result } = await useShortToken(ada, async (one) => {
      const short = node.api.as(one);
      const { body } = await short.post("/sync", {});
      const waited = await short.post("/sync", { cursors: body.cursors, wait: 30 });
      return waited.status === 401 ? null : waited;
    });
    expect([result.status, result.body.events]).toEqual([200, []]);
    // Timers may be a millisecond early.
    expect(await until(async () => (await node.api.as(token).post("/sync", {})).status === 401, 5000)).toBe(
      true,
    );
  });

  test("frees its place when its client hangs up", async () => {
    const { cursors } = await sync(ben.api);
    const hangUp = new AbortController();
    const answer = fetch(`${node.url}/sync`, {
      method: "POST",
      signal: hangUp.signal,
      headers: { Authorization: `Bearer ${ben.token}`, "Content-Type": "application/json" },
      body: JSON.stringify({ cursors, wait: 30 }),
    }).catch(({ name }: Error) => name);
    expect(await waiting()).toBe(true);
    hangUp.abort();
    expect(await answer).toBe("AbortError");
    expect(await waiting(0)).toBe(true);
  });
});

test("a node that stops answers what waits, at once and with what it has", async () => {
  const other = await startTestNode();
  const eve = await other.api.person("eve");
  const { cursors } = await sync(eve.api);
  const answer = sync(eve.api, cursors, { wait: 30 });
  const { waits: there } = other.broker.getLocalService("notifier") as unknown as { waits: Waits };
  expect(await until(() => there.size === 1, 5000)).toBe(true);
  const since = calmNow();
  const stopped = other.stop();
  expect(await answer).toMatchObject({ events: [], cursors, more: false });
  expect(calmNow() - since).toBeLessThan(1000);
  await stopped;
});
