import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { upTo } from "../support/counting.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem } from "../support/expectations.ts";

let node: TestNode;
let db: pg.Client;
let ada: Person;
let ben: Person;
/** Ada's, in which Ben is a manager. */
let project: Wire;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  [ada, ben] = (await Promise.all(["ada", "ben"].map((name) => node.api.person(name)))) as [Person, Person];
  project = await place();
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

/** A project of Ada's in which Ben is a manager. */
async function place(): Promise<Wire> {
  const made = await ada.api.must("POST", "/projects", { name: "Launch" });
  await ada.api.must("POST", `/projects/${made.id}/members`, { user_id: ben.id, role: "manager" });
  return made;
}
const make = (fields: object = {}): Promise<Wire> =>
  ada.api.must("POST", "/tasks", { title: "Write it", ...fields });

interface Request {
  path: string;
  body?: object;
}
const keyed = (key: string): Record<string, string> => ({ "Idempotency-Key": key });
const send = ({ path, body }: Request, key: string, who = ada): Promise<Answer> =>
  who.api.post(path, body, keyed(key));
const isReplay = ({ headers }: Answer): boolean => headers.get("idempotency-replayed") === "true";

/** All that there is: rows, versions, events. */
async function census(): Promise<Wire> {
  const { rows } = await db.query(
    `SELECT (SELECT json_build_array(count(*), sum(version)) FROM tasks.tasks) AS tasks,
            (SELECT count(*) FROM tasks.comments) AS comments, (SELECT count(*) FROM tasks.categories) AS categories,
            (SELECT count(*) FROM projects.projects) AS projects, (SELECT count(*) FROM projects.members) AS members,
            (SELECT count(*) FROM events.log) AS events, (SELECT sum(head) FROM events.streams) AS heads`,
  );
  return rows[0];
}

const onTask = async (step: string, body?: object, deleted = false): Promise<Request> => {
  const { id } = await make({ project_id: project.id });
  if (deleted) await ada.api.must("DELETE", `/tasks/${id}`);
  return { path: `/tasks/${id}/${step}`, ...(body && { body }) };
};

/** Each route, with a request that works once. */
const REQUESTS: Record<string, () => Promise<Request>> = {
  "/projects": async () => ({ path: "/projects", body: { name: "Launch" } }),
  "/projects/:project/members": async () => ({
    path: `/projects/${project.id}/members`,
    body: { user_id: (await node.api.person("new")).id, role: "viewer" },
  }),
  "/projects/:project/tasks": async () => ({ path: `/projects/${project.slug}/tasks`, body: { title: "x" } }),
  "/tasks": async () => ({ path: "/tasks", body: { title: "x", assigned_to: ben.id } }),
  "/tasks/bulk": async () => {
    const { id } = await make();
    const operations = [
      { op: "create", title: "x" },
      { op: "update", id, title: "y" },
    ];
    return { path: "/tasks/bulk", body: { operations } };
  },
  "/projects/:project/restore": async () => {
    const { id } = await place();
    await ada.api.must("DELETE", `/projects/${id}`);
    return { path: `/projects/${id}/restore` };
  },
  "/tasks/:id/restore": () => onTask("restore", undefined, true),
  "/tasks/:id/assign": () => onTask("assign", { assigned_to: ben.id }),
  "/tasks/:id/transitions": () => onTask("transitions", { to: "completed" }),
  "/tasks/:id/move": () => onTask("move", { status: "in_progress" }),
  "/tasks/:id/redact": () => onTask("redact"),
  "/tasks/:id/comments/:comment_id/redact": async () => {
    const { path } = await onTask("comments");
    const { id } = await ada.api.must("POST", path, { body: "x" });
    return { path: `${path}/${id}/redact` };
  },
  "/tasks/:id/comments": () => onTask("comments", { body: "x" }),
  "/categories": async () => ({ path: "/categories", body: { name: newId(), color: "#000000" } }),
};
const EACH = Object.entries(REQUESTS);

test("every route that takes a key is tried here", () => {
  const idempotent = ROUTES.filter((route) => route.idempotent).map(({ path }) => path);
  expect(Object.keys(REQUESTS).sort()).toEqual(idempotent.sort());
});

describe("the same key and request again", () => {
  test.each(EACH)("POST %s: the first answer, headers and all, and nothing happens", async (_, request) => {
    const key = newId();
    const one = await request();
    const first = await send(one, key);
    expect([first.status < 300, isReplay(first)]).toEqual([true, false]);
    const before = await census();
    for (const path of [one.path, `${one.path}/`]) {
      const again = await send({ ...one, path }, key);
      expect([again.status, again.body, isReplay(again)]).toEqual([first.status, first.body, true]);
      for (const header of ["location", "etag"])
        expect(again.headers.get(header)).toBe(first.headers.get(header));
    }
    expect(await census()).toEqual(before);
  });

  test.each(EACH)("POST %s: twenty at once are one write, one answer", async (_, request) => {
    const key = newId();
    const one = await request();
    const before = await census();
    await send(await request(), newId());
    const between = await census();
    const answers = await Promise.all(upTo(20).map(() => send(one, key)));
    expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1);
    expect(answers[0]?.status).toBeLessThan(300);
    expect(answers.filter(isReplay)).toHaveLength(19);
    // As much as one request without company adds, but for what it needed beforehand.
    const after = await census();
    expect(Number(after.events) - Number(between.events)).toBeLessThanOrEqual(
      Number(between.events) - Number(before.events),
    );
    expect(after.heads).toBe(after.events);
    const { rows } = await db.query("SELECT response FROM idempotency.keys WHERE key = $1", [key]);
    expect(rows).toHaveLength(1);
  });

  test("one task came of the twenty, with one event", async () => {
    const eve = await node.api.person("eve");
    await Promise.all(upTo(20).map(() => send({ path: "/tasks", body: { title: "x" } }, "one", eve)));
    expect((await eve.api.must("GET", "/tasks")).total).toBe(1);
    expect((await readStream(db, `user:${eve.id}`)).map(({ type }) => type)).toEqual(["task_created"]);
  });

  test("what changed nothing is answered alike too, whatever happened since, and undoes nothing", async () => {
    const { id } = await make({ assigned_to: ada.id });
    for (const one of [
      { path: `/tasks/${id}/assign`, body: { assigned_to: ada.id } },
      { path: "/tasks/bulk", body: { operations: [{ op: "assign", id, assigned_to: ada.id }] } },
    ]) {
      const key = newId();
      await ada.api.must("POST", `/tasks/${id}/assign`, { assigned_to: ada.id });
      const first = await send(one, key);
      await ada.api.must("POST", `/tasks/${id}/assign`, { assigned_to: ben.id });
      const again = await send(one, key);
      expect([again.status, again.body, isReplay(again)]).toEqual([200, first.body, true]);
      expect((await ada.api.must("GET", `/tasks/${id}`)).assigned_to).toBe(ben.id);
    }
  });

  test("the same under the other prefix", async () => {
    const key = newId();
    const first = await send({ path: "/tasks", body: { title: "x" } }, key);
    const again = await send({ path: "/api/v1/tasks", body: { title: "x" } }, key);
    expect([again.body, isReplay(again)]).toEqual([first.body, true]);
    expect(again.headers.get("location")).toBe(`/api/v1/tasks/${first.body.id}`);
  });
});

describe("a replay", () => {
  test("comes even where the request would be refused by now", async () => {
    const { id } = await place();
    const task = await make({ project_id: id });
    const requests: Request[] = [
      { path: `/projects/${id}/tasks`, body: { title: "x" } },
      { path: `/tasks/${task.id}/transitions`, body: { to: "in_progress" } },
      { path: `/tasks/${task.id}/comments`, body: { body: "x" } },
      { path: `/tasks/${task.id}/assign`, body: { assigned_to: ben.id } },
      { path: "/tasks/bulk", body: { operations: [{ op: "update", id: task.id, title: "y" }] } },
      {
        path: `/projects/${id}/members`,
        body: { user_id: (await node.api.person("new")).id, role: "viewer" },
      },
    ];
    const firsts: Answer[] = [];
    for (const [n, one] of requests.entries()) firsts.push(await send(one, `refused ${n}`, ben));
    const all = async (): Promise<void> => {
      for (const [n, one] of requests.entries()) {
        const again = await send(one, `refused ${n}`, ben);
        expect([again.status, again.body, isReplay(again)]).toEqual([
          firsts[n]?.status,
          firsts[n]?.body,
          true,
        ]);
      }
    };
    await ada.api.must("PATCH", `/projects/${id}`, { status: "archived" });
    await all();
    await ada.api.must("PATCH", `/projects/${id}`, { status: "active" });
    await ada.api.must("DELETE", `/projects/${id}/members/${ben.id}`);
    await all();
    await ada.api.must("DELETE", `/projects/${id}`);
    await all();
  });

  test("comes before If-Match is judged: the first one made it stale itself", async () => {
    const task = await make();
    const headers = { "Idempotency-Key": newId(), "If-Match": '"1"' };
    const move = () => ada.api.post(`/tasks/${task.id}/transitions`, { to: "completed" }, headers);
    const [first, again] = [await move(), await move()];
    expect([first.status, again.status, isReplay(again)]).toEqual([200, 200, true]);
    expect(again.body).toEqual(first.body);
  });

  test("of a restoration is the answer that was given, whatever is in the project since", async () => {
    const { id } = await place();
    await ada.api.must("PATCH", `/projects/${id}/members/${ben.id}`, { role: "owner" });
    await make({ project_id: id });
    await ada.api.must("DELETE", `/projects/${id}`);
    const restore = { path: `/projects/${id}/restore`, body: undefined };
    const key = newId();
    const first = await send(restore, key, ben);
    expect([first.status, first.body.task_counts.pending, first.body.role]).toEqual([200, 1, "owner"]);
    expect(first.body).toEqual(await ben.api.must("GET", `/projects/${id}`));
    await ada.api.must("DELETE", `/projects/${id}/members/${ben.id}`);
    await make({ project_id: id });
    const again = await send(restore, key, ben);
    expect([again.status, again.body, isReplay(again)]).toEqual([200, first.body, true]);
  });

  test("is told as it was, although the task was deleted since", async () => {
    const key = newId();
    const first = await send({ path: "/tasks", body: { title: "x" } }, key);
    await ada.api.must("DELETE", `/tasks/${first.body.id}`);
    expect((await send({ path: "/tasks", body: { title: "x" } }, key)).body).toEqual(first.body);
  });
});

describe("the key", () => {
  test.each(EACH)("POST %s: for another request it is 422, and nothing happens", async (_, request) => {
    const key = newId();
    expect((await send(await request(), key)).status).toBeLessThan(300);
    const another = await request();
    // The one route whose requests are all alike.
    if (another.path === "/projects") another.body = { name: "Another" };
    if (another.path.endsWith("/tasks")) another.body = { title: "another" };
    const before = await census();
    expectProblem(await send(another, key), 422, "idempotency-key-reused");
    expect(await census()).toEqual(before);
    // The request itself is as good as it was.
    expect((await send(another, newId())).status).toBeLessThan(300);
  });

  test("for another request that would change nothing it is 422 all the same", async () => {
    const key = newId();
    const { id } = await make();
    await send({ path: "/tasks", body: { title: "x" } }, key);
    expectProblem(
      await send({ path: `/tasks/${id}/assign`, body: { assigned_to: null } }, key),
      422,
      "idempotency-key-reused",
    );
  });

  test("is each user's own", async () => {
    const key = newId();
    const one = { path: "/tasks", body: { title: "x" } };
    const [first, second] = [await send(one, key), await send(one, key, ben)];
    expect([first.status, second.status, isReplay(second)]).toEqual([201, 201, false]);
    expect(second.body).toMatchObject({ created_by: ben.id });
    expect(second.body.id).not.toBe(first.body.id);
  });

  test.each([
    ["of 1 character", "k"],
    ["of 255 characters", "k".repeat(255)],
    ["of any printable ones", `a b"c\\d,;{}~!`],
  ])("may be one %s", async (_, key) => {
    const one = { path: "/tasks", body: { title: "x" } };
    expect([isReplay(await send(one, key)), isReplay(await send(one, key))]).toEqual([false, true]);
  });

  test.each([
    ["empty", ""],
    ["of spaces", "   "],
    ["of 256 characters", "k".repeat(256)],
    ["not ASCII", "caf\u00e9"],
    ["with a tab in it", "a\tb"],
  ])("that is %s is 400, and nothing happens", async (_, key) => {
    const before = await census();
    for (const [, request] of [EACH[0], EACH[3]] as [string, () => Promise<Request>][])
      expectProblem(await send(await request(), key), 400, "malformed-request");
    expect(await census()).toEqual(before);
  });

  test("that is left out makes every request a new one", async () => {
    const answers = [];
    for (const _ of upTo(2)) answers.push(await ada.api.post("/tasks", { title: "x" }));
    expect(new Set(answers.map(({ body }): string => body.id)).size).toBe(2);
    expect(answers.some(isReplay)).toBe(false);
  });

  test("is not used up by a request that was refused", async () => {
    const key = newId();
    const { id } = await make();
    const move = (to: string): Promise<Answer> =>
      send({ path: `/tasks/${id}/transitions`, body: { to } }, key);
    expectProblem(await move("done"), 422, "validation-failed", ["#/to"]);
    expectProblem(await move("archived"), 409, "illegal-transition");
    const bulk = { path: "/tasks/bulk", body: { operations: [{ op: "delete", id: newId() }] } };
    expect((await send(bulk, key)).body.type).toBe("/problems/bulk-failed");
    const done = await move("completed");
    expect([done.status, isReplay(done)]).toEqual([200, false]);
    expect((await move("completed")).body).toEqual(done.body);
  });
});

describe("after 24 hours", () => {
  const age = (key: string, interval: string): Promise<unknown> =>
    db.query("UPDATE idempotency.keys SET kept_until = kept_until - $2::interval WHERE key = $1", [
      key,
      interval,
    ]);

  test("the request happens anew, and is remembered anew", async () => {
    const key = newId();
    const one = { path: "/tasks", body: { title: "x" } };
    const first = await send(one, key);
    await age(key, "23 hours 59 minutes");
    expect(isReplay(await send(one, key))).toBe(true);
    await age(key, "24 hours");
    const second = await send(one, key);
    expect([second.status, isReplay(second)]).toEqual([201, false]);
    expect(second.body.id).not.toBe(first.body.id);
    const third = await send(one, key);
    expect([third.body, isReplay(third)]).toEqual([second.body, true]);
  });

  test("the key may stand for another request", async () => {
    const key = newId();
    await send({ path: "/tasks", body: { title: "x" } }, key);
    await age(key, "2 days");
    expect((await send({ path: "/categories", body: { name: key, color: "#000000" } }, key)).status).toBe(
      201,
    );
  });

  test("what would be refused now is refused", async () => {
    const key = newId();
    const { id } = await make();
    const one = { path: `/tasks/${id}/transitions`, body: { to: "completed" } };
    await send(one, key);
    await age(key, "2 days");
    expectProblem(await send(one, key), 409, "illegal-transition");
  });

  test("of ten at once, one happens", async () => {
    const eve = await node.api.person("eve");
    const one = { path: "/tasks", body: { title: "x" } };
    const first = await send(one, "expired", eve);
    await age("expired", "2 days");
    const answers = await Promise.all(upTo(10).map(() => send(one, "expired", eve)));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1);
    expect(answers[0]?.body.id).not.toBe(first.body.id);
    expect((await eve.api.must("GET", "/tasks")).total).toBe(2);
  });
});

test("an answer is kept for as long as its request may come again: a few minutes where no client knows the key", async () => {
  const gil = await node.api.person("gil");
  const key = newId();
  await send({ path: "/tasks", body: { title: "x" } }, key, gil);
  await gil.api.must("POST", "/tasks", { title: "x" });
  await gil.api.must("POST", "/categories", { name: "x", color: "#000000" });
  const { rows } = await db.query(
    `SELECT key = $2 AS given, ceil(extract(epoch FROM kept_until - now()) / 60)::int AS minutes
     FROM idempotency.keys WHERE user_id = $1 ORDER BY kept_until`,
    [gil.id, key],
  );
  expect(rows).toEqual([
    { given: false, minutes: 5 },
    { given: false, minutes: 5 },
    { given: true, minutes: 24 * 60 },
  ]);
});

describe("while the first request is under way", () => {
  let hasty: TestNode;
  let other: pg.Client;
  let fay: Person;
  beforeAll(async () => {
    hasty = await startTestNode({ DATABASE_TIMEOUT: 1000 });
    other = await openDatabase(hasty);
    fay = await hasty.api.person("fay");
  });
  afterAll(async () => {
    await other?.end();
    await hasty?.stop();
  });

  test("409 with Retry-After, and the request goes through once the first has failed", async () => {
    const task = await fay.api.must("POST", "/tasks", { title: "x" });
    await other.query("BEGIN");
    await other.query("INSERT INTO idempotency.keys VALUES ($1, 'held', 'fingerprint', '{}', 'infinity')", [
      fay.id,
    ]);
    const requests: [Request, ...Request[]] = [
      { path: `/tasks/${task.id}/transitions`, body: { to: "completed" } },
      { path: "/tasks", body: { title: "y" } },
      { path: "/tasks/bulk", body: { operations: [{ op: "update", id: task.id, title: "y" }] } },
    ];
    for (const one of requests) {
      const answer = await send(one, "held", fay);
      expectProblem(answer, 409, "idempotency-key-in-flight");
      expect(answer.headers.get("retry-after")).toBe("1");
    }
    expect((await fay.api.must("GET", "/tasks")).items).toEqual([task]);
    expect((await send({ path: "/tasks", body: { title: "y" } }, "free", fay)).status).toBe(201);
    await other.query("ROLLBACK");
    const { status, body } = await send(requests[0], "held", fay);
    expect([status, body.status]).toEqual([200, "completed"]);
  });

  test("one that ends while the second waits is answered to the second", async () => {
    const answer = await send({ path: "/tasks", body: { title: "x" } }, "template", fay);
    const { rows } = await other.query("SELECT fingerprint FROM idempotency.keys WHERE key = 'template'");
    await other.query("BEGIN");
    await other.query("INSERT INTO idempotency.keys VALUES ($1, 'slow', $2, $3, 'infinity')", [
      fay.id,
      rows[0].fingerprint,
      JSON.stringify(answer.body),
    ]);
    const second = send({ path: "/tasks", body: { title: "x" } }, "slow", fay);
    const waiting = async (): Promise<boolean> =>
      (await other.query("SELECT FROM pg_locks WHERE NOT granted")).rows.length > 0;
    while (!(await waiting()));
    await other.query("COMMIT");
    const { status, body, headers } = await second;
    expect([status, body, headers.get("idempotency-replayed")]).toEqual([201, answer.body, "true"]);
  });
});
