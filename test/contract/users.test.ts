import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { Problem } from "../../core/errors.ts";
import { until } from "../../local/until.ts";
import { makeFirstAdmin } from "../../services/users/first-admin.ts";
import { users } from "../../services/users/users.contract.ts";
import { openDatabase as openPool } from "../../mixins/database.ts";
import type { Api } from "../support/api.ts";
import { type Answer, PASSWORD, type Person, type Wire } from "../support/api.ts";
import { startTestNode, testConfig, type TestNode } from "../support/node.ts";
import { deactivate, personWithRole } from "../support/cast.ts";
import { upTo } from "../support/counting.ts";
import { freshDatabase, openDatabase, readStream } from "../support/database.ts";
import { expectProblem, ID, TIMESTAMP } from "../support/expectations.ts";

const NOBODY = "01a1fd00-bd86-77b7-82a3-da440c274cf3";

let node: TestNode;
let db: pg.Client;
let ada: Person;
let ben: Person;
let boss: Person;
let root: Person;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
  [boss, root] = [await personWithRole(node, db, "manager"), await personWithRole(node, db, "admin")];
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

const login = (name: string, password = PASSWORD): Promise<Answer> =>
  node.api.post("/auth/login", { login: name, password });
const refresh = ({ refreshToken }: Person): Promise<Answer> =>
  node.api.post("/auth/refresh", { refresh_token: refreshToken });
const patch = (who: Person, whom: { id: string }, body: object): Promise<Answer> =>
  who.api.patch(`/users/${whom.id}`, body);
const userRow = async (id: string): Promise<Wire> =>
  (await db.query<Wire>("SELECT * FROM users.users WHERE id = $1", [id])).rows[0];
const personLike = ({ id, username }: Person) => ({ id, username, first_name: null, last_name: null });
const accountLike = ({ id, username, email }: Person, fields: object = {}) => ({
  id,
  email,
  username,
  first_name: null,
  last_name: null,
  role: "user",
  is_active: true,
  is_verified: false,
  created_at: expect.stringMatching(TIMESTAMP),
  updated_at: expect.stringMatching(TIMESTAMP),
  ...fields,
});

describe("without credentials", () => {
  test.each<["get" | "patch" | "delete", string]>([
    ["get", "/users"],
    ["get", `/users/${NOBODY}`],
    ["patch", `/users/${NOBODY}`],
    ["delete", `/users/${NOBODY}`],
  ])("%s %s is 401", async (method, path) => {
    expectProblem(await node.api[method](path, method === "patch" ? {} : undefined), 401, "unauthenticated");
  });
});

describe("GET /users", () => {
  let found: Person[];
  let gone: Person;

  beforeAll(async () => {
    const names = ["zora_1", "zorax1", "ezora"];
    found = await Promise.all(names.map((name) => node.api.person(name)));
    const fullNames = [
      ["Grace", "Hopper"],
      ["Émile", "Hopper%"],
      ["Ann\\a", null],
    ];
    await Promise.all(
      found.map((person, at) => {
        const [first_name, last_name] = fullNames[at] as [string, string | null];
        return person.api.must("PATCH", `/users/${person.id}`, { first_name, last_name });
      }),
    );
    gone = await node.api.person("zora-gone");
    await deactivate(db, gone);
  });
  const list = (query: string, who = ada): Promise<Answer> => who.api.get(`/users?${query}`);
  const search = async (q: string, who = ada): Promise<string[]> =>
    (await list(`q=${encodeURIComponent(q)}`, who)).body.items.map(({ id }: Wire): string => id);
  const ids = (...at: number[]): string[] => at.map((index) => found[index]?.id as string);

  test("answers a page of people, with nothing else of them", async () => {
    const { status, body } = await list("q=zora");
    expect(status).toBe(200);
    expect(body).toEqual({
      items: expect.any(Array),
      limit: 20,
      next_cursor: null,
      offset: 0,
      total: 3,
    });
    expect(body.items).toContainEqual({
      id: found[0]?.id,
      username: found[0]?.username,
      first_name: "Grace",
      last_name: "Hopper",
    });
    for (const item of body.items)
      expect(Object.keys(item).sort()).toEqual(["first_name", "id", "last_name", "username"]);
  });

  test("those whose user name begins with it come first", async () => {
    expect((await search("zora"))[2]).toBe(found[2]?.id);
  });

  test.each<[what: string, q: string, expected: number[]]>([
    ["a user name's beginning", "ezora", [2]],
    ["any letter case", "EZORA", [2]],
    ["a first name", "grace", [0]],
    ["a part of a last name", "oppe", [0, 1]],
    ["a full name", "grace hopper", [0]],
    ["letters beyond ASCII, in any case", "éMILE", [1]],
    ["blanks around it", "  grace ", [0]],
    ["_ as itself", "zora_1", [0]],
    ["% as itself", "hopper%", [1]],
    ["a backslash as itself", "ann\\a", [2]],
    ["a quote", "' OR true --", []],
  ])("finds by %s: %s", async (_, q, expected) => {
    expect((await search(q)).sort()).toEqual(ids(...expected).sort());
  });

  test("wildcards alone find no more than those who have them", async () => {
    expect(await search("%")).toEqual(ids(1));
    expect(await search("\\")).toEqual(ids(2));
    expect(await search("%%")).toEqual([]);
  });

  test("an e-mail address finds nobody and shows nobody, but for admins", async () => {
    const email = found[0]?.email as string;
    for (const who of [ada, boss]) {
      expect(await search(email, who)).toEqual([]);
      expect(await search("@example.com", who)).toEqual([]);
    }
    const { body } = await list(`q=${encodeURIComponent(email.toUpperCase())}`, root);
    expect(body.items).toEqual([
      { id: found[0]?.id, username: found[0]?.username, first_name: "Grace", last_name: "Hopper", email },
    ]);
  });

  test("who is not active is found by admins alone", async () => {
    for (const who of [ada, boss]) expect(await search(gone.username, who)).toEqual([]);
    expect(await search(gone.username, root)).toEqual([gone.id]);
  });

  test("limit and offset cut it, total stays, and no two pages share anybody", async () => {
    const pages = await Promise.all(upTo(3).map((n) => list(`q=zora&limit=1&offset=${n - 1}`)));
    expect(pages.map(({ body }) => [body.items.length, body.limit, body.offset, body.total])).toEqual([
      [1, 1, 0, 3],
      [1, 1, 1, 3],
      [1, 1, 2, 3],
    ]);
    expect(new Set(pages.map(({ body }) => body.items[0].id)).size).toBe(3);
    expect((await list("q=zora&offset=3")).body).toMatchObject({ items: [], total: 3 });
  });

  test("without q it is everybody who is active; an empty one is refused, as in every list", async () => {
    const { rows } = await db.query<{ count: number }>(
      "SELECT count(*)::int FROM users.users WHERE is_active",
    );
    expect((await list("")).body).toMatchObject({ total: rows[0]?.count });
    for (const query of ["q=", "q=%20"]) expectProblem(await list(query), 422, "validation-failed", ["?q"]);
  });

  test.each([
    "limit=0",
    "limit=101",
    "limit=x",
    "offset=-1",
    "role=admin",
    "email=a@b.c",
    `q=${"x".repeat(101)}`,
    "q=%00",
    "q=a&q=b",
  ])("?%s is 422", async (query) => {
    expectProblem(await list(query), 422, "validation-failed", [`?${query.split("=")[0]}`]);
  });
});

describe("GET /users/{id}", () => {
  const get = (who: Person, { id }: { id: string }): Promise<Answer> => who.api.get(`/users/${id}`);

  test("answers the whole account to its owner and to admins", async () => {
    for (const who of [ada, root]) {
      const { status, body } = await get(who, ada);
      expect([status, body]).toEqual([200, accountLike(ada)]);
    }
    expect((await get(ada, ada)).body).toEqual((await ada.api.get("/auth/me")).body);
  });

  test("answers the person to everybody else", async () => {
    for (const who of [ben, boss]) expect((await get(who, ada)).body).toEqual(personLike(ada));
  });

  test("is where registration said the user is", async () => {
    const body = { email: "where@example.com", username: "where", password: PASSWORD };
    const { headers } = await node.api.post("/auth/register", body);
    expect((await root.api.get(headers.get("location") as string)).body.username).toBe("where");
  });

  test("who isn't there, or is no id, is 404", async () => {
    for (const id of [NOBODY, "me", "ada"])
      for (const who of [ada, root]) expectProblem(await get(who, { id }), 404, "not-found");
  });

  test("who is not active is 404 for all but admins", async () => {
    const gone = await node.api.person("gone");
    await deactivate(db, gone);
    for (const who of [ada, boss]) expectProblem(await get(who, gone), 404, "not-found");
    expect((await get(root, gone)).body).toEqual(accountLike(gone, { is_active: false }));
  });

  test("a query parameter is 422", async () => {
    expectProblem(await ada.api.get(`/users/${ada.id}?full=1`), 422, "validation-failed", ["?full"]);
  });
});

describe("PATCH /users/{id}", () => {
  let eve: Person;
  beforeEach(async () => {
    eve = await node.api.person("eve");
  });

  test("sets the caller's own names, and leaves the rest", async () => {
    const before = await eve.api.must("GET", `/users/${eve.id}`);
    const { status, body } = await patch(eve, eve, { first_name: " Eve ", last_name: "Moneypenny" });
    expect(status).toBe(200);
    expect(body).toEqual({
      ...before,
      first_name: "Eve",
      last_name: "Moneypenny",
      updated_at: expect.stringMatching(TIMESTAMP),
    });
    expect(body.updated_at > before.updated_at).toBe(true);
    expect((await eve.api.get(`/users/${eve.id}`)).body).toEqual(body);
    const { body: cleared } = await patch(eve, eve, { first_name: null });
    expect([cleared.first_name, cleared.last_name]).toEqual([null, "Moneypenny"]);
  });

  test("what changes nothing leaves no trace", async () => {
    const before = await eve.api.must("GET", `/users/${eve.id}`);
    const { username, email } = eve;
    for (const body of [{}, { username, email, first_name: null }])
      expect((await patch(eve, eve, body)).body).toEqual(before);
    for (const body of [{ role: "user", is_active: true }, {}])
      expect((await patch(root, eve, body)).body).toEqual(before);
    expect((await refresh(eve)).status).toBe(200);
  });

  test("a new user name and a new address are what one logs in with", async () => {
    const [username, email] = [`new-${eve.username}`, `new-${eve.email}`];
    expect((await patch(eve, eve, { username, email })).body).toMatchObject({ username, email });
    for (const name of [username, email]) expect((await login(name)).status).toBe(200);
    for (const name of [eve.username, eve.email])
      expectProblem(await login(name), 401, "invalid-credentials");
  });

  test("a new address is not verified, whoever sets it; the same one in other letters stays so", async () => {
    const verify = () => db.query("UPDATE users.users SET is_verified = true WHERE id = $1", [eve.id]);
    await verify();
    const email = eve.email.toUpperCase();
    expect((await patch(eve, eve, { email })).body).toMatchObject({ email, is_verified: true });
    expect((await patch(eve, eve, { first_name: "E" })).body.is_verified).toBe(true);
    expect((await patch(eve, eve, { email: `1${eve.email}` })).body.is_verified).toBe(false);
    await verify();
    expect((await patch(root, eve, { email: `2${eve.email}` })).body.is_verified).toBe(false);
  });

  test("a new address of one's own is mailed a link to verify it", async () => {
    const email = `mailed-${eve.email}`;
    await patch(eve, eve, { email });
    const { rows } = await db.query<Wire>(
      "SELECT purpose FROM auth.one_time_tokens WHERE user_id = $1 AND email = $2",
      [eve.id, email],
    );
    expect(rows).toEqual([{ purpose: "verify_email" }]);
  });

  test("a user name or address that is taken is 409, in any case of its letters", async () => {
    for (const who of [eve, root]) {
      const name = patch(who, eve, { username: ada.username.toUpperCase() });
      expectProblem(await name, 409, "already-exists", ["#/username"]);
      const address = patch(who, eve, { email: ada.email.toUpperCase() });
      expectProblem(await address, 409, "already-exists", ["#/email"]);
    }
    expect((await eve.api.get(`/users/${eve.id}`)).body).toEqual(accountLike(eve));
  });

  test.each<[field: string, what: string, value: unknown]>([
    ["email", "null", null],
    ["email", "no address", "eve"],
    ["email", "with a control character", "eve\u0007@example.com"],
    ["email", "that turns the direction of text", "eve\u202e@example.com"],
    ["first_name", "with an escape sequence", "\u001b[31mEve"],
    ["email", "too long", `${"x".repeat(250)}@example.com`],
    ["username", "null", null],
    ["username", "too short", "ev"],
    ["username", "too long", "e".repeat(33)],
    ["username", "with an @", "eve@home"],
    ["first_name", "empty", ""],
    ["first_name", "a number", 7],
    ["last_name", "of 101 characters", "x".repeat(101)],
    ["role", "unknown", "root"],
    ["role", "null", null],
    ["is_active", "text", "false"],
    ["is_active", "null", null],
    ["is_verified", "set", true],
    ["password", "set", PASSWORD],
    ["password_hash", "set", "x"],
    ["created_at", "set", "2026-01-01T00:00:00Z"],
    ["id", "set", NOBODY],
  ])("%s %s is 422, also for an admin", async (field, _, value) => {
    for (const who of [eve, root])
      expectProblem(await patch(who, eve, { [field]: value }), 422, "validation-failed", [`#/${field}`]);
  });

  test("nobody raises themselves: a role or is_active is 403, whatever it says, and nothing is written", async () => {
    for (const who of [eve, boss])
      for (const body of [{ role: "admin" }, { role: "user" }, { is_active: false }, { is_active: true }])
        expectProblem(await patch(who, who, { first_name: "X", ...body }), 403, "forbidden");
    expect((await eve.api.get(`/users/${eve.id}`)).body).toEqual(accountLike(eve));
  });

  test("another's account is 403, or 404 when it can't be seen", async () => {
    for (const who of [ben, boss]) {
      expectProblem(await patch(who, eve, { first_name: "X" }), 403, "forbidden");
      expectProblem(await patch(who, eve, {}), 403, "forbidden");
      expectProblem(await patch(who, { id: NOBODY }, { first_name: "X" }), 404, "not-found");
    }
    await deactivate(db, eve);
    for (const who of [ben, boss])
      expectProblem(await patch(who, eve, { first_name: "X" }), 404, "not-found");
    expectProblem(await patch(root, { id: NOBODY }, {}), 404, "not-found");
    expectProblem(await patch(root, { id: "eve" }, {}), 404, "not-found");
  });

  test("an admin edits anybody, and gives a role, which ends the sessions", async () => {
    const { status, body } = await patch(root, eve, { first_name: "Eve", role: "manager" });
    expect([status, body]).toEqual([200, accountLike(eve, { first_name: "Eve", role: "manager" })]);
    expectProblem(await refresh(eve), 401, "invalid-token");
    expect((await login(eve.username)).body.user.role).toBe("manager");
  });

  test("an admin's edit of names ends no session", async () => {
    await patch(root, eve, { first_name: "Eve", username: `x-${eve.username}` });
    expect((await refresh(eve)).status).toBe(200);
  });

  test("who is deactivated can't go on or log in, until they are active again", async () => {
    expect((await patch(root, eve, { is_active: false })).body).toMatchObject({ is_active: false });
    expectProblem(await refresh(eve), 401, "invalid-token");
    expectProblem(await login(eve.username), 401, "invalid-credentials");
    expect((await patch(root, eve, { is_active: true })).body).toMatchObject({ is_active: true });
    expectProblem(await refresh(eve), 401, "invalid-token");
    expect((await login(eve.username)).status).toBe(200);
  });
});

describe("the last active admin", () => {
  const admins = async (): Promise<string[]> =>
    (
      await db.query<{ id: string }>("SELECT id FROM users.users WHERE role = 'admin' AND is_active")
    ).rows.map(({ id }) => id);
  const demoteAll = () => db.query("UPDATE users.users SET role = 'user' WHERE role = 'admin'");

  let last: Person;
  beforeEach(async () => {
    await demoteAll();
    last = await personWithRole(node, db, "admin");
  });
  afterAll(async () => {
    await demoteAll();
    root = await personWithRole(node, db, "admin");
  });

  test("is neither demoted, deactivated nor erased: 409", async () => {
    // One who isn't active doesn't count.
    await deactivate(db, await personWithRole(node, db, "admin"));
    for (const body of [{ role: "user" }, { role: "manager" }, { is_active: false }])
      expectProblem(await patch(last, last, { first_name: "X", ...body }), 409, "conflict");
    expectProblem(await last.api.delete(`/users/${last.id}`), 409, "conflict");
    expect((await last.api.get(`/users/${last.id}`)).body).toEqual(accountLike(last, { role: "admin" }));
  });

  test("may still be edited, and step down once there is another", async () => {
    expect((await patch(last, last, { first_name: "X", role: "admin" })).status).toBe(200);
    await personWithRole(node, db, "admin");
    expect((await patch(last, last, { role: "user" })).body.role).toBe("user");
    expectProblem(await refresh(last), 401, "invalid-token");
  });

  /** Two admins and what each of them does, at the same time, five times over. */
  const race = async (
    run: (one: Person, two: Person) => Promise<Answer>[],
  ): Promise<{ statuses: number[]; left: number }[]> => {
    const results = [];
    for (const _ of upTo(5)) {
      await demoteAll();
      const [one, two] = [await personWithRole(node, db, "admin"), await personWithRole(node, db, "admin")];
      const answers = await Promise.all(run(one, two));
      const statuses = answers.map(({ status }) => status).sort();
      results.push({ statuses, left: (await admins()).length });
    }
    return results;
  };

  test("of two who demote themselves at once, one stays", async () => {
    const results = await race((one, two) => [one, two].map((who) => patch(who, who, { role: "user" })));
    expect(results).toEqual(upTo(5).map(() => ({ statuses: [200, 409], left: 1 })));
  });

  test("of two who demote each other at once, one stays", async () => {
    const results = await race((one, two) => [
      patch(one, two, { role: "user" }),
      patch(two, one, { role: "user" }),
    ]);
    expect(results.map(({ left }) => left)).toEqual(upTo(5).map(() => 1));
    // The one who came later is no admin any more: 403, or 401 when the news was there before them.
    for (const { statuses } of results)
      expect([
        [200, 401],
        [200, 403],
      ]).toContainEqual(statuses);
  });

  test("of two of whom one is deactivated and one erased at once, one stays", async () => {
    const results = await race((one, two) => [
      patch(one, one, { is_active: false }),
      two.api.delete(`/users/${two.id}`),
    ]);
    expect(results.map(({ left }) => left)).toEqual(upTo(5).map(() => 1));
  });
});

describe("DELETE /users/{id}", () => {
  let leaver: Person;
  beforeEach(async () => {
    leaver = await node.api.person("leaver");
  });
  /** Asks for an erasure, and waits for what follows it: on a slow machine the answer does not. */
  const erase = async (who: Person, { id }: { id: string }): Promise<Answer> => {
    const answer = await who.api.delete(`/users/${id}`);
    // The first pass of the cleanup is over: another one comes when the account is settled.
    const pending = "SELECT FROM users.endings WHERE user_id = $1 AND due_at <> settles_at";
    const isDone = async () => (await db.query(pending, [id])).rowCount === 0;
    if (answer.status === 204) expect(await until(isDone, 10_000)).toBe(true);
    return answer;
  };

  test("of a project's only owner is 409 while others are in it: somebody else has to own it first", async () => {
    const other = await node.api.person("other");
    const { id } = await leaver.api.must("POST", "/projects", { name: "Shared" });
    await leaver.api.must("POST", `/projects/${id}/members`, { user_id: other.id, role: "member" });
    expectProblem(await erase(leaver, leaver), 409, "conflict");
    expect((await leaver.api.get("/auth/me")).status).toBe(200);
    await leaver.api.must("PATCH", `/projects/${id}/members/${other.id}`, { role: "owner" });
    expect((await erase(leaver, leaver)).status).toBe(204);
    // Nobody who is gone is counted among the owners.
    const { items } = await other.api.must("GET", `/projects/${id}/members`);
    expect(items.map(({ user_id }: Wire): string => user_id)).toEqual([other.id]);
    expect((await other.api.must("GET", `/projects/${id}`)).owner_id).toBe(other.id);
    expectProblem(await other.api.delete(`/projects/${id}/members/${other.id}`), 409, "conflict");
  });

  test("answers 204, and nothing is left that tells who it was", async () => {
    await patch(leaver, leaver, { first_name: "Lea", last_name: "Ver" });
    const answer = await erase(leaver, leaver);
    expect([answer.status, answer.body]).toEqual([204, null]);
    expect(await userRow(leaver.id)).toMatchObject({
      email: `erased-${leaver.id}@erased.invalid`,
      username: `erased-${leaver.id.slice(-12)}`,
      first_name: null,
      last_name: null,
      password_hash: "",
      is_active: false,
      is_verified: false,
      erased_at: expect.any(Date),
    });
  });

  test("ends the sessions, and nobody logs in as them", async () => {
    expect((await erase(root, leaver)).status).toBe(204);
    expectProblem(await refresh(leaver), 401, "invalid-token");
    const erased = `erased-${leaver.id.slice(-12)}`;
    for (const name of [leaver.username, leaver.email, erased, `erased-${leaver.id}@erased.invalid`])
      for (const password of [PASSWORD, " ", ""].filter((text) => text !== ""))
        expectProblem(await login(name, password), 401, "invalid-credentials");
  });

  test("frees the address and the user name", async () => {
    await erase(leaver, leaver);
    const { email, username } = leaver;
    expect((await node.api.post("/auth/register", { email, username, password: PASSWORD })).status).toBe(201);
  });

  test("they are gone for people, and an admin sees what is left, by id", async () => {
    await erase(leaver, leaver);
    for (const who of [ada, boss]) expectProblem(await who.api.get(`/users/${leaver.id}`), 404, "not-found");
    expect((await root.api.get(`/users/${leaver.id}`)).body).toMatchObject({ is_active: false });
    for (const who of [ada, root])
      expect((await who.api.get(`/users?q=${leaver.id.slice(-12)}`)).body).toMatchObject({ total: 0 });
  });

  test("a second one is 404, and so is every change", async () => {
    expect((await erase(root, leaver)).status).toBe(204);
    expectProblem(await erase(root, leaver), 404, "not-found");
    expectProblem(await patch(root, leaver, { is_active: true }), 404, "not-found");
    expectProblem(await erase(ada, leaver), 404, "not-found");
  });

  test("of five at once, one is 204 and the others are 404", async () => {
    const answers = await Promise.all(upTo(5).map(() => erase(root, leaver)));
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 404, 404, 404, 404]);
  });

  test("another's account is 403; nobody's is 404", async () => {
    for (const who of [ada, boss]) expectProblem(await erase(who, leaver), 403, "forbidden");
    for (const id of [NOBODY, "leaver"]) expectProblem(await erase(root, { id }), 404, "not-found");
    expect((await leaver.api.get("/auth/me")).status).toBe(200);
  });

  test("a query parameter is 422", async () => {
    const answer = await leaver.api.delete(`/users/${leaver.id}?force=1`);
    expectProblem(answer, 422, "validation-failed", ["?force"]);
  });

  test("somebody who took the erased one's name beforehand stops nothing", async () => {
    const squatter = {
      email: `erased-${leaver.id}@erased.invalid`,
      username: `erased-${leaver.id.slice(-12)}`,
      password: PASSWORD,
    };
    await node.api.must("POST", "/auth/register", squatter);
    expect((await erase(leaver, leaver)).status).toBe(204);
    const { username, email } = await userRow(leaver.id);
    expect(username).toMatch(new RegExp(`^${squatter.username}[0-9a-f]{8}$`));
    expect(email).toMatch(/^erased-.*@erased\.invalid$/);
  });

  describe("with tasks", () => {
    let project: Wire;
    beforeEach(async () => {
      project = await ada.api.must("POST", "/projects", { name: "Erasure" });
      const body = { user_id: leaver.id, role: "manager" };
      await ada.api.must("POST", `/projects/${project.id}/members`, body);
    });
    const assigned = (title: string): Promise<Wire> =>
      ada.api.must("POST", `/projects/${project.id}/tasks`, { title, assigned_to: leaver.id });
    const taskRow = async (id: string): Promise<Wire> =>
      (await db.query<Wire>("SELECT * FROM tasks.tasks WHERE id = $1", [id])).rows[0];
    /** What the stream tells of one task. */
    const eventsOf = async (stream: string, id: string): Promise<[type: string, data: Wire][]> =>
      (await readStream(db, stream))
        .filter(({ data }) => data.task?.id === id)
        .map(({ type, data }) => [type, data]);

    test.each(["themselves", "an admin"])(
      "%s: the tasks stay, unassigned, and the project hears it",
      async (by) => {
        const task = await assigned("Stays");
        const who = by === "an admin" ? root : leaver;
        expect((await erase(who, leaver)).status).toBe(204);
        const { body } = await ada.api.get(`/tasks/${task.id}`);
        expect(body).toMatchObject({ assigned_to: null, version: task.version + 1, created_by: ada.id });
        const [, last] = await eventsOf(`project:${project.id}`, task.id);
        expect(last).toEqual([
          "task_assigned",
          {
            task: expect.objectContaining({ id: task.id, assigned_to: null, version: 2 }),
            changes: { assigned_to: { old: leaver.id, new: null } },
          },
        ]);
        const { rows } = await db.query<Wire>(
          "SELECT actor_id FROM events.log WHERE stream = $1 AND type = 'task_assigned'",
          [`project:${project.id}`],
        );
        expect(rows).toEqual([{ actor_id: who.id }]);
      },
    );

    test("a personal task that was given to them goes back to its creator, who hears it", async () => {
      const task = await ada.api.must("POST", "/tasks", { title: "Personal", assigned_to: leaver.id });
      expect((await erase(leaver, leaver)).status).toBe(204);
      expect((await ada.api.get(`/tasks/${task.id}`)).body.assigned_to).toBeNull();
      expect((await eventsOf(`user:${ada.id}`, task.id)).map(([type]) => type)).toEqual([
        "task_created",
        "task_assigned",
      ]);
    });

    test("what they created stays, and names them by id", async () => {
      const task = await leaver.api.must("POST", `/projects/${project.id}/tasks`, { title: "Made" });
      await erase(leaver, leaver);
      expect((await ada.api.get(`/tasks/${task.id}`)).body.created_by).toBe(leaver.id);
    });

    test("more than one batch of them, and those that nobody sees now", async () => {
      const deleted = await assigned("Deleted");
      await ada.api.must("DELETE", `/tasks/${deleted.id}`);
      // Not so many at once that a slow machine refuses some.
      for (const turn of upTo(3))
        await Promise.all(upTo(35).map((n) => assigned(`Task ${35 * (turn - 1) + n}`)));
      await db.query("UPDATE projects.projects SET status = 'archived' WHERE id = $1", [project.id]);
      const hidden = await ada.api.must("POST", "/projects", { name: "Hidden" });
      await ada.api.must("POST", `/projects/${hidden.id}/members`, { user_id: leaver.id, role: "member" });
      const path = `/projects/${hidden.id}/tasks`;
      const unseen = await ada.api.must("POST", path, { title: "Unseen", assigned_to: leaver.id });
      await db.query("UPDATE projects.projects SET deleted_at = now() WHERE id = $1", [hidden.id]);

      expect((await erase(root, leaver)).status).toBe(204);
      const left = await db.query("SELECT FROM tasks.tasks WHERE assigned_to = $1", [leaver.id]);
      expect(left.rowCount).toBe(0);
      const told = (await readStream(db, `project:${project.id}`)).filter(
        ({ type, data }) => type === "task_assigned" && data.task.assigned_to === null,
      );
      expect(told).toHaveLength(105);
      expect((await taskRow(unseen.id)).version).toBe(2);
    });

    test("nobody is given a task any more who is erased", async () => {
      const { id } = await ada.api.must("POST", `/projects/${project.id}/tasks`, { title: "x" });
      await erase(leaver, leaver);
      const answer = await ada.api.post(`/tasks/${id}/assign`, { assigned_to: leaver.id });
      expectProblem(answer, 422, "validation-failed", ["#/assigned_to"]);
    });

    test("the project has one member less", async () => {
      await erase(leaver, leaver);
      const { items } = await ada.api.must("GET", `/projects/${project.id}/members`);
      expect(items.map(({ user_id }: Wire): string => user_id)).toEqual([ada.id]);
    });

    test("a project whose only owner is erased keeps its owner's id", async () => {
      const own = await leaver.api.must("POST", "/projects", { name: "Orphan" });
      expect((await erase(leaver, leaver)).status).toBe(204);
      expect((await root.api.get(`/projects/${own.id}`)).body.owner_id).toBe(leaver.id);
    });

    test("when the last admin may not go, their tasks stay theirs", async () => {
      await db.query("UPDATE users.users SET role = 'user' WHERE role = 'admin' AND id <> $1", [root.id]);
      const body = { user_id: root.id, role: "member" };
      await ada.api.must("POST", `/projects/${project.id}/members`, body);
      const path = `/projects/${project.id}/tasks`;
      const task = await ada.api.must("POST", path, { title: "Root's", assigned_to: root.id });
      expectProblem(await erase(root, root), 409, "conflict");
      expect((await taskRow(task.id)).assigned_to).toBe(root.id);
    });
  });
});

describe("what other services ask", () => {
  const call = <A extends "by_email" | "check_password" | "set_password" | "mark_verified">(
    action: A,
    params: Wire,
  ) => users.call(node.broker, action, params);
  const refusal = (code: string) => expect.objectContaining({ type: code });

  test("by_email finds who is active, in any case of the letters", async () => {
    expect(await call("by_email", { email: ada.email.toUpperCase() })).toEqual(accountLike(ada));
    expect(await call("by_email", { email: "nobody@example.com" })).toBeNull();
    const gone = await node.api.person("gone");
    await deactivate(db, gone);
    expect(await call("by_email", { email: gone.email })).toBeNull();
  });

  test("check_password and set_password", async () => {
    const { id, username } = await node.api.person("changer");
    expect(await call("check_password", { id, password: PASSWORD })).toBe(1);
    expect(await call("check_password", { id, password: "wrong" })).toBeNull();
    expect(await call("check_password", { id: NOBODY, password: PASSWORD })).toBeNull();
    await call("set_password", { id, password: "another horse battery", generation: 1 });
    expect((await login(username)).status).toBe(401);
    expect((await login(username, "another horse battery")).status).toBe(200);
    for (const password of ["short", "password123", "x".repeat(129)])
      await expect(call("set_password", { id, password, generation: 2 })).rejects.toMatchObject({
        name: "ValidationError",
      });
    const late = call("set_password", { id, password: PASSWORD, generation: 1 });
    await expect(late).rejects.toEqual(refusal("not-found"));
    await deactivate(db, { id });
    expect(await call("check_password", { id, password: "another horse battery" })).toBeNull();
    const refused = call("set_password", { id, password: PASSWORD, generation: 2 });
    await expect(refused).rejects.toEqual(refusal("not-found"));
  });

  test("mark_verified, if the address is still theirs", async () => {
    const person = await node.api.person("prover");
    const { id } = person;
    await expect(call("mark_verified", { id, email: ada.email })).rejects.toEqual(refusal("not-found"));
    await call("mark_verified", { id, email: person.email.toUpperCase() });
    expect((await person.api.get("/auth/me")).body.is_verified).toBe(true);
  });
});

describe("the first admin", () => {
  const [ADMIN_EMAIL, ADMIN_PASSWORD] = ["First@example.com", "a first admin's password"];
  const FIRST = { ADMIN_EMAIL, ADMIN_PASSWORD };
  const loginAs = (api: Api, name: string, password = ADMIN_PASSWORD): Promise<Answer> =>
    api.post("/auth/login", { login: name, password });
  const admin = { email: ADMIN_EMAIL, password: ADMIN_PASSWORD, cost: 4 };

  let url: string;
  beforeEach(async () => {
    url = await freshDatabase();
  });
  const withPool = async (work: (pool: ReturnType<typeof openPool>) => Promise<void>): Promise<void> => {
    const pool = openPool(testConfig(url), () => {});
    await work(pool).finally(() => pool.close());
  };
  const usersIn = (pool: ReturnType<typeof openPool>): Promise<Wire[]> =>
    pool.query({ text: "SELECT id, email, username, role, is_verified FROM users.users ORDER BY id" });

  test("is there when the node is, verified", async () => {
    const own = await startTestNode(FIRST);
    try {
      const { status, body } = await loginAs(own.api, ADMIN_EMAIL);
      expect(status).toBe(200);
      expect(body.user).toMatchObject({ username: "admin", role: "admin", is_verified: true });
      expect(body.user.id).toMatch(ID);
    } finally {
      await own.stop();
    }
  });

  test("is made once, by however many nodes that start at once, and at every start", () =>
    withPool(async (pool) => {
      const made = await Promise.all(upTo(4).map(() => makeFirstAdmin(pool, admin)));
      expect(made.filter((id) => id !== null)).toHaveLength(1);
      expect(await makeFirstAdmin(pool, admin)).toBeNull();
      expect(await usersIn(pool)).toHaveLength(1);
    }));

  test("is not made again, and nobody promoted, while somebody else is admin", () =>
    withPool(async (pool) => {
      await makeFirstAdmin(pool, admin);
      expect(await makeFirstAdmin(pool, { ...admin, email: "second@example.com" })).toBeNull();
      expect(await usersIn(pool)).toHaveLength(1);
    }));

  test("is the account that has the address, which nobody goes on using with what they knew", async () => {
    const own = await startTestNode();
    const config = { ...own.config, ...FIRST };
    let promoted: TestNode | undefined;
    try {
      const body = { email: ADMIN_EMAIL.toLowerCase(), username: "first", password: PASSWORD };
      await own.api.must("POST", "/auth/register", body);
      const { body: before } = await loginAs(own.api, "first", PASSWORD);
      const { startNode } = await import("../../node.ts");
      const broker = await startNode({ ...config, SERVICES: ["users"] });
      promoted = { ...own, broker, stop: () => broker.stop() };
      const isAdmin = async () => (await loginAs(own.api, "first")).body.user?.role === "admin";
      expect(await until(isAdmin, 5000)).toBe(true);
      expectProblem(await loginAs(own.api, "first", PASSWORD), 401, "invalid-credentials");
      const old = own.api.post("/auth/refresh", { refresh_token: before.refresh_token });
      expectProblem(await old, 401, "invalid-token");
    } finally {
      await promoted?.stop();
      await own.stop();
    }
  });

  test("gets another user name when admin is taken", () =>
    withPool(async (pool) => {
      await pool.query({
        text: `INSERT INTO users.users (id, email, username, password_hash, created_at, updated_at,
                                        email_key, username_key)
               VALUES ($1, 'x@example.com', 'Admin', '', now(), now(), 'x@example.com', 'admin')`,
        values: [NOBODY],
      });
      await makeFirstAdmin(pool, admin);
      expect((await usersIn(pool)).at(-1).username).toMatch(/^admin-[0-9a-f]{8}$/);
    }));

  test("is not made of a common password or a deactivated account", () =>
    withPool(async (pool) => {
      const common = makeFirstAdmin(pool, { ...admin, password: "password123" });
      await expect(common).rejects.toMatchObject({ type: "validation-failed" });
      await makeFirstAdmin(pool, admin);
      await pool.query({ text: "UPDATE users.users SET is_active = false" });
      await expect(makeFirstAdmin(pool, admin)).rejects.toMatchObject({ type: "conflict" });
    }));

  test("a service whose database is away at the start does not fail, and makes it later", async () => {
    const own = await startTestNode(FIRST);
    try {
      const service = own.broker.getLocalService("users") as unknown as Wire;
      const { db: right } = service;
      await right.query({ text: "DELETE FROM users.users" });
      service.db = { query: () => Promise.reject(new Problem("database-unavailable")) };
      await service.schema.started.at(-1).call(service);
      service.db = right;
      expect((await loginAs(own.api, "admin")).status).toBe(401);
      expect(await until(async () => (await loginAs(own.api, "admin")).status === 200, 5000)).toBe(true);
    } finally {
      await own.stop();
    }
  });

  describe("npm run admin", () => {
    const run = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
      const env = { ...process.env, NODE_ENV: "test", BCRYPT_COST: "4", DATABASE_URL: url };
      const child = promisify(execFile)(process.execPath, ["scripts/admin.ts", ...args], { env });
      return child.then(
        ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
        ({ code, stdout, stderr }: Wire) => ({ code, out: stdout, err: stderr }),
      );
    };

    test("makes an admin with a password that is shown once, and is content with one who is there", async () => {
      const { code, out } = await run("root@example.com");
      expect(code).toBe(0);
      const [, password] = /Password, shown this once: (\S{24})\n$/.exec(out) ?? [];
      await withPool(async (pool) => {
        expect(await usersIn(pool)).toMatchObject([{ email: "root@example.com", role: "admin" }]);
      });
      expect(password).toBeDefined();
      const again = await run(" ROOT@example.com ");
      expect([again.code, again.out]).toEqual([
        0,
        expect.stringMatching(/^Database: 127\.0\.0\.1:\d+\/test_\w+\nROOT@.* is admin already\.\n$/),
      ]);
    });

    test("promotes an account and ends its sessions", async () => {
      const { config } = node;
      url = config.DATABASE_URL;
      const person = await node.api.person("promoted");
      const { code, out } = await run(person.email);
      expect([code, out]).toEqual([0, expect.stringContaining("is admin now")]);
      expectProblem(await refresh(person), 401, "invalid-token");
      expect((await login(person.username)).body.user.role).toBe("admin");
      await db.query("UPDATE users.users SET role = 'user' WHERE id = $1", [person.id]);
    });

    test("says in one line what is wrong", async () => {
      const none = await run();
      expect([none.code, none.err]).toEqual([1, "Usage: npm run admin -- <email>\n"]);
      const escape = await run("root\u001b[2J@example.com");
      expect([escape.code, escape.err]).toEqual([1, "Usage: npm run admin -- <email>\n"]);
      url = "postgres://nobody@127.0.0.1:1/none";
      const away = await run("root@example.com");
      expect([away.code, away.err]).toEqual([
        1,
        "The database does not answer: start it, or correct DATABASE_URL.\n",
      ]);
      url = process.env.TEST_POSTGRES_URL as string;
      const empty = await run("root@example.com");
      expect([empty.code, empty.err]).toEqual([1, expect.stringMatching(/^The database is empty: .*\n$/)]);
    });
  });
});
