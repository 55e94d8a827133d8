import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import jwt from "jsonwebtoken";
import type pg from "pg";
import { until } from "../../local/until.ts";
import { hashOf } from "../../services/auth/secrets.ts";
import { type Answer, PASSWORD, type Person, type Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { deactivate } from "../support/cast.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase } from "../support/database.ts";
import { expectProblem, ID, TIMESTAMP } from "../support/expectations.ts";

let node: TestNode;
let db: pg.Client;
let ada: Person;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  ada = await node.api.person("Ada");
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

let made = 0;
/** The body of a registration that is right but for `fields`. */
const someone = (fields: object = {}) => {
  made += 1;
  return { email: `someone-${made}@example.com`, username: `someone-${made}`, password: PASSWORD, ...fields };
};
const register = (fields?: object): Promise<Answer> => node.api.post("/auth/register", someone(fields));
const login = (login: string, password = PASSWORD): Promise<Answer> =>
  node.api.post("/auth/login", { login, password });
const refresh = (refresh_token: string): Promise<Answer> => node.api.post("/auth/refresh", { refresh_token });
const me = (token: string): Promise<Answer> => node.api.as(token).get("/auth/me");

/** A user with nothing filled in that they didn't say: docs/reference.md, Users. */
const userLike = (fields: object) => ({
  id: expect.stringMatching(ID),
  first_name: null,
  last_name: null,
  role: "user",
  is_active: true,
  is_verified: false,
  created_at: expect.stringMatching(TIMESTAMP),
  updated_at: expect.stringMatching(TIMESTAMP),
  ...fields,
});

describe("POST /auth/register", () => {
  test("answers 201, where the user is, and the user without a trace of the password", async () => {
    const body = someone({ first_name: "Grace", last_name: "Hopper" });
    const answer = await node.api.post("/auth/register", body);
    expect(answer.status).toBe(201);
    expect(answer.headers.get("location")).toBe(`/users/${answer.body.id}`);
    const { password: _password, ...names } = body;
    expect(answer.body).toEqual(userLike(names));
  });

  test("names may be left out or null, and are trimmed", async () => {
    expect((await register({ first_name: null })).body.first_name).toBeNull();
    expect((await register({ first_name: "  Grace " })).body.first_name).toBe("Grace");
    const { email, username } = someone();
    expect((await register({ email: ` ${email}\t`, username: ` ${username} ` })).body).toMatchObject({
      email,
      username,
    });
    // What joins letters in Persian and emoji is no control character.
    expect((await register({ first_name: "\u0645\u06cc\u200c\u0631\u0648\u062f" })).status).toBe(201);
  });

  test.each<[field: string, what: string, value: unknown]>([
    ["email", "missing", undefined],
    ["email", "null", null],
    ["email", "empty", ""],
    ["email", "a number", 5],
    ["email", "without @", "ada.example.com"],
    ["email", "without a host", "ada@"],
    ["email", "with a space", "a da@example.com"],
    ["email", "with a line break", "ada@example.com\nbcc:all@example.com"],
    ["email", "with two @", "ada@evil.example@example.com"],
    ["email", "at an address literal", "ada@[127.0.0.1]"],
    ["email", "with a quoted name", '"a b"@example.com'],
    ["email", "with an empty label", "ada@example..com"],
    ["email", "with a control character", "ada\u0007@example.com"],
    ["email", "with an escape sequence", "ada\u001b[2J@example.com"],
    ["email", "that turns the direction of text", "ada\u202e@example.com"],
    ["email", "with a character that nobody sees", "a\u200bda@example.com"],
    ["email", "with half a surrogate pair", "ada\ud800@example.com"],
    ["email", "of 255 characters", `${"a".repeat(243)}@example.com`],
    ["username", "missing", undefined],
    ["username", "of 2 characters", "ad"],
    ["username", "of 33 characters", "a".repeat(33)],
    ["username", "with a space", "a da"],
    ["username", "that looks like an address", "ada@example.com"],
    ["username", "ending in a dot", "ada."],
    ["username", "with markup", "<ada>"],
    ["username", "with a control character", "a\u0007da"],
    ["username", "ending in a line break and more", "ada\nda"],
    ["username", "a list", ["ada"]],
    ["password", "missing", undefined],
    ["password", "a number", 1234567890],
    ["password", "of 7 characters", "1234567"],
    ["password", "of 7 characters that take 14 code units", "🐘".repeat(7)],
    ["password", "of 129 characters", "x".repeat(129)],
    ["first_name", "empty", ""],
    ["first_name", "blank", "  "],
    ["first_name", "of 101 characters", "x".repeat(101)],
    ["first_name", "with an escape sequence", "\u001b[31mAda"],
    ["last_name", "that turns the direction of text", "Love\u202elace"],
    ["last_name", "of two lines", "Love\nlace"],
    ["last_name", "an object", {}],
    ["role", "set", "admin"],
    ["is_active", "set", true],
    ["id", "set", "01a1fd00-bd86-77b7-82a3-da440c274cf3"],
  ])("%s %s is 422", async (field, _, value) => {
    expectProblem(await register({ [field]: value }), 422, "validation-failed", [`#/${field}`]);
  });

  test.each([
    ["8 characters", "x1-y2_z3"],
    ["128 characters", "x".repeat(128)],
    ["128 characters that take 256 code units", "🐘".repeat(128)],
    ["spaces and any script", "пароль с пробелами"],
  ])("a password of %s opens the account", async (_, password) => {
    const { status, body } = await register({ password });
    expect(status).toBe(201);
    expect((await login(body.username, password)).status).toBe(200);
  });

  test.each(["email", "username"] as const)("a %s that is taken is 409 in any letter case", async (field) => {
    for (const value of [ada[field], ada[field].toUpperCase(), ada[field].toLowerCase()])
      expectProblem(await register({ [field]: value }), 409, "already-exists", [`#/${field}`]);
  });

  test("of ten registrations of one name at once, one wins", async () => {
    const answers = await Promise.all(upTo(10).map(() => register({ username: "popular" })));
    expect(tally(answers)).toEqual({ 201: 1, 409: 9 });
  });
});

describe("POST /auth/login", () => {
  test("answers tokens and the user, and nothing else", async () => {
    const { status, body, headers } = await login(ada.username);
    expect(status).toBe(200);
    expect(body).toEqual({
      access_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      token_type: "Bearer",
      expires_in: 900,
      refresh_token: expect.stringMatching(/^[\w-]{43,}$/),
      user: userLike({ id: ada.id, email: ada.email, username: ada.username }),
    });
    // RFC 6749 §5.1
    expect(headers.get("cache-control")).toBe("no-store");
  });

  test("the access token says who, for whom, by whom and how long", async () => {
    const { access_token } = (await login(ada.username)).body;
    const { header, payload } = jwt.decode(access_token, { complete: true }) as jwt.Jwt;
    expect(header).toEqual({ alg: "HS256", typ: "JWT", kid: expect.any(String) });
    const claims = payload as jwt.JwtPayload;
    expect(claims).toEqual({
      iss: node.config.JWT_ISSUER,
      aud: expect.any(String),
      sub: ada.id,
      sid: expect.stringMatching(ID),
      role: "user",
      iat: expect.any(Number),
      exp: (claims.iat as number) + 900,
      jti: expect.stringMatching(ID),
    });
  });

  test.each<[how: string, body: (who: Person) => object]>([
    ["username as login", ({ username }) => ({ login: username })],
    ["USERNAME as login", ({ username }) => ({ login: username.toUpperCase() })],
    ["email as login", ({ email }) => ({ login: email })],
    ["EMAIL as login", ({ email }) => ({ login: email.toUpperCase() })],
    ["email as email", ({ email }) => ({ email })],
    ["EMAIL as email", ({ email }) => ({ email: email.toUpperCase() })],
    ["username with blanks around it", ({ username }) => ({ login: ` ${username}\t` })],
    ["email with blanks around it", ({ email }) => ({ email: `  ${email} ` })],
  ])("%s", async (_, body) => {
    const answer = await node.api.post("/auth/login", { ...body(ada), password: PASSWORD });
    expect([answer.status, answer.body.user?.id]).toEqual([200, ada.id]);
  });

  test("wrong password, unknown account and closed account are told the same", async () => {
    const closed = await node.api.person("closed");
    await deactivate(db, closed);
    const answers = [
      await login(ada.username, "wrong horse battery"),
      await login(ada.email, PASSWORD.toUpperCase()),
      await login("nobody-at-all"),
      await login("nobody@example.com"),
      await login(closed.username),
    ];
    for (const answer of answers) expectProblem(answer, 401, "invalid-credentials");
    const told = answers.map(({ body: { request_id: _, ...rest } }: Wire) => JSON.stringify(rest));
    expect(new Set(told).size).toBe(1);
  });

  test("a 401 names the scheme (RFC 9110 §15.5.2)", async () => {
    expect((await login("nobody-at-all")).headers.get("www-authenticate")).toMatch(/^Bearer\b/);
  });

  test.each<[what: string, body: object, pointer: string]>([
    ["both login and email", { login: "ada", email: "ada@example.com", password: PASSWORD }, "#/email"],
    ["neither", { password: PASSWORD }, "#/login"],
    ["an empty login", { login: "", password: PASSWORD }, "#/login"],
    ["a blank login", { login: "  ", password: PASSWORD }, "#/login"],
    ["no password", { login: "ada" }, "#/password"],
    ["an operator for a password", { login: "ada", password: { $ne: "" } }, "#/password"],
    ["another field", { login: "ada", password: PASSWORD, role: "admin" }, "#/role"],
  ])("%s is 422", async (_, body, pointer) => {
    expectProblem(await node.api.post("/auth/login", body), 422, "validation-failed", [pointer]);
  });

  test("every character of a password counts, beyond bcrypt's 72 bytes too", async () => {
    const password = "x".repeat(100);
    const { username } = (await register({ password })).body;
    expect((await login(username, password)).status).toBe(200);
    expect((await login(username, `${"x".repeat(99)}y`)).status).toBe(401);
    expect((await login(username, "x".repeat(99))).status).toBe(401);
  });

  test("a password is the same however the keyboard composes it", async () => {
    const { username } = (await register({ password: "cafe\u0301 au lait" })).body;
    expect((await login(username, "caf\u00e9 au lait")).status).toBe(200);
  });
});

describe("GET /auth/me", () => {
  test("is the caller", async () => {
    const { status, body } = await me(ada.token);
    expect(status).toBe(200);
    expect(body).toEqual(userLike({ id: ada.id, email: ada.email, username: ada.username }));
  });

  test("Bearer is a word in any letter case", async () => {
    const { status } = await node.api.get("/auth/me", { Authorization: `bearer ${ada.token}` });
    expect(status).toBe(200);
  });

  test("no credentials: 401 that asks for them, and blames no token", async () => {
    const answer = await node.api.get("/auth/me");
    expectProblem(answer, 401, "unauthenticated");
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b(?!.*error=)/);
  });

  test("another scheme is no credentials (RFC 6750 §3.1)", async () => {
    const answer = await node.api.get("/auth/me", { Authorization: "Basic YWRhOmFkYQ==" });
    expectProblem(answer, 401, "unauthenticated");
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b(?!.*error=)/);
  });

  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  /** Ada's token with other claims, signed as the server would. */
  const forge = (claims: object, secret = node.config.JWT_SECRET, header: object = {}): string => {
    const decoded = jwt.decode(ada.token, { complete: true }) as jwt.Jwt;
    const signed = `${part({ ...decoded.header, ...header })}.${part({ ...(decoded.payload as object), ...claims })}`;
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  };

  test("what the next test forges would pass if it were right", async () => {
    expect((await me(forge({}))).status).toBe(200);
  });

  test.each<[what: string, token: () => string]>([
    ["that is none", () => "nonsense"],
    ["that is empty", () => ""],
    ["of two parts", () => ada.token.split(".").slice(0, 2).join(".")],
    ["without its signature", () => `${ada.token.split(".").slice(0, 2).join(".")}.`],
    [
      "whose signature is another's",
      () => `${ada.token.split(".").slice(0, 2).join(".")}.${forge({ role: "admin" }).split(".")[2]}`,
    ],
    [
      "whose claims were changed",
      () => {
        const [head, , signature] = ada.token.split(".");
        return `${head}.${part({ ...(jwt.decode(ada.token) as object), role: "admin" })}.${signature}`;
      },
    ],
    ["signed with another secret", () => forge({}, "another secret of more than 32 bytes, surely")],
    ["of an unknown key", () => forge({}, undefined, { kid: "unknown" })],
    ["without a key id", () => forge({}, undefined, { kid: undefined })],
    ["of algorithm none", () => `${part({ alg: "none", typ: "JWT" })}.${ada.token.split(".")[1]}.`],
    ["that says none over a good signature", () => forge({}, undefined, { alg: "none" })],
    ["of another algorithm", () => forge({}, undefined, { alg: "HS512" })],
    ["that has expired", () => forge({ exp: Math.floor(Date.now() / 1000) - 1 })],
    ["that never expires", () => forge({ exp: undefined })],
    ["for another audience", () => forge({ aud: "elsewhere" })],
    ["by another issuer", () => forge({ iss: "elsewhere" })],
    ["without a session", () => forge({ sid: undefined })],
    ["with a role that is none", () => forge({ role: "root" })],
    ["that is a refresh token", () => ada.refreshToken],
  ])("a token %s is 401 invalid_token", async (_, token) => {
    const answer = await me(token());
    expectProblem(answer, 401, "invalid-token");
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b.*\berror="invalid_token"/);
  });

  test("a token in the query or in the body is none", async () => {
    expect((await node.api.get(`/auth/me?access_token=${ada.token}`)).status).toBe(401);
    expect((await node.api.post("/tasks", { access_token: ada.token, title: "x" })).status).toBe(401);
  });

  test("every route but registration, login and refresh needs a token, before it looks at anything", async () => {
    for (const [method, path] of [
      ["POST", "/auth/logout"],
      ["GET", "/projects"],
      ["POST", "/projects"],
      ["GET", "/projects/nothing"],
      ["POST", "/projects/nothing/members"],
      ["GET", "/tasks?limit=0"],
      ["POST", "/tasks"],
      ["PATCH", "/tasks/nothing"],
      ["DELETE", "/tasks/nothing"],
      ["POST", "/tasks/nothing/transitions"],
    ] as const)
      expectProblem(await node.api.request(method, path), 401, "unauthenticated");
  });
});

describe("POST /auth/refresh", () => {
  /** A session of its own for each test. */
  const open = async (): Promise<Wire> => (await login(ada.username)).body;
  const sessionOf = (token: string): string => (jwt.decode(token) as { sid: string }).sid;
  const age = (session: string, seconds: number) =>
    db.query(
      "UPDATE auth.refresh_tokens SET spent_at = spent_at - $2 * interval '1 second' WHERE session_id = $1",
      [session, seconds],
    );

  test("answers as login does, with a new refresh token of the same session", async () => {
    const first = await open();
    const { status, body } = await refresh(first.refresh_token);
    expect(status).toBe(200);
    expect(body).toEqual({
      ...first,
      access_token: expect.any(String),
      refresh_token: expect.stringMatching(/^[\w-]{43,}$/),
    });
    expect(body.refresh_token).not.toBe(first.refresh_token);
    expect(sessionOf(body.access_token)).toBe(sessionOf(first.access_token));
    expect((await me(body.access_token)).body.id).toBe(ada.id);
    expect((await refresh(body.refresh_token)).status).toBe(200);
  });

  test("a client that lost the answer gets the same successor again, within 10 seconds", async () => {
    const { refresh_token, access_token } = await open();
    const successor = (await refresh(refresh_token)).body.refresh_token;
    await age(sessionOf(access_token), 5);
    const again = await refresh(refresh_token);
    expect([again.status, again.body.refresh_token]).toEqual([200, successor]);
    expect((await refresh(successor)).status).toBe(200);
  });

  test("ten refreshes with one token at once get one successor, which works", async () => {
    const { refresh_token } = await open();
    // The token's row is held until several of them have begun, so that they race.
    const holder = await openDatabase(node);
    await holder.query("BEGIN");
    await holder.query("SELECT FROM auth.refresh_tokens WHERE hash = $1 FOR UPDATE", [hashOf(refresh_token)]);
    const all = Promise.all(upTo(10).map(() => refresh(refresh_token)));
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    const areHeld = await until(async () => ((await db.query(waiting)).rowCount ?? 0) > 1, 5000);
    await holder.end();
    const answers = await all;
    expect(areHeld).toBe(true);
    expect(tally(answers)).toEqual({ 200: 10 });
    const successors = new Set(answers.map(({ body }): string => body.refresh_token));
    expect(successors.size).toBe(1);
    expect((await refresh([...successors][0] as string)).status).toBe(200);
  });

  test("a spent token that comes back after 10 seconds ends the whole session, and no other", async () => {
    const [first, other] = [await open(), await open()];
    const second = (await refresh(first.refresh_token)).body;
    const third = (await refresh(second.refresh_token)).body;
    await age(sessionOf(first.access_token), 11);
    expectProblem(await refresh(first.refresh_token), 401, "invalid-token");
    for (const { refresh_token } of [third, second, first])
      expectProblem(await refresh(refresh_token), 401, "invalid-token");
    expect((await refresh(other.refresh_token)).status).toBe(200);
  });

  test("an expired token is 401", async () => {
    const { refresh_token, access_token } = await open();
    await db.query("UPDATE auth.refresh_tokens SET expires_at = now() WHERE session_id = $1", [
      sessionOf(access_token),
    ]);
    expectProblem(await refresh(refresh_token), 401, "invalid-token");
  });

  test("a closed account refreshes nothing", async () => {
    const closed = await node.api.person("closed");
    await deactivate(db, closed);
    expectProblem(await refresh(closed.refreshToken), 401, "invalid-token");
  });

  test.each<[what: string, token: () => string]>([
    ["an unknown token", () => "x".repeat(43)],
    ["an access token", () => ada.token],
  ])("%s is 401", async (_, token) => {
    expectProblem(await refresh(token()), 401, "invalid-token");
  });

  test("a 401 names the scheme (RFC 9110 §15.5.2)", async () => {
    expect((await refresh("x")).headers.get("www-authenticate")).toMatch(/^Bearer\b/);
  });

  test.each<[what: string, body: object]>([
    ["no token", {}],
    ["null", { refresh_token: null }],
    ["an empty token", { refresh_token: "" }],
    ["a list of tokens", { refresh_token: ["x"] }],
  ])("%s is 422", async (_, body) => {
    expectProblem(await node.api.post("/auth/refresh", body), 422, "validation-failed", ["#/refresh_token"]);
  });

  test("the database holds no token that would work", async () => {
    const { refresh_token } = await open();
    const { refresh_token: successor } = (await refresh(refresh_token)).body;
    const { rows } = await db.query<{ row: string }>("SELECT t::text AS row FROM auth.refresh_tokens t");
    const dump = rows.map(({ row }) => row).join("\n");
    for (const token of [refresh_token, successor]) {
      expect(dump).not.toContain(token);
      expect(dump).not.toContain(Buffer.from(token).toString("hex"));
      expect(dump).not.toContain(Buffer.from(token, "base64url").toString("hex"));
    }
  });
});

describe("POST /auth/logout", () => {
  test("204, and the session's refresh tokens are over, the live one and the spent", async () => {
    const first = (await login(ada.username)).body;
    const second = (await refresh(first.refresh_token)).body;
    const answer = await node.api.as(second.access_token).post("/auth/logout");
    expect([answer.status, answer.body]).toEqual([204, null]);
    for (const { refresh_token } of [first, second])
      expectProblem(await refresh(refresh_token), 401, "invalid-token");
  });

  test("another session of the same user goes on", async () => {
    const [one, other] = [(await login(ada.username)).body, (await login(ada.username)).body];
    await node.api.as(one.access_token).post("/auth/logout");
    expect((await refresh(other.refresh_token)).status).toBe(200);
  });
});

test("an Idempotency-Key where none can be kept is 400 that says why, and nothing happens", async () => {
  const body = someone();
  const headers = { "Idempotency-Key": "k1" };
  const registered = await node.api.post("/auth/register", body, headers);
  expectProblem(registered, 400, "malformed-request");
  expect(registered.body.detail).toMatch(/^This operation does not accept Idempotency-Key: .*user/);
  expect((await login(body.username)).status).toBe(401);
  const eve = await node.api.person("eve");
  const minted = await eve.api.post("/auth/tokens", { name: "CI", scope: "read" }, headers);
  expectProblem(minted, 400, "malformed-request");
  expect(minted.body.detail).toMatch(/^This operation does not accept Idempotency-Key: .*shown once/);
  expect((await eve.api.get("/auth/tokens")).body.items).toEqual([]);
});

describe("secrets", () => {
  test("no answer holds a password or its hash", async () => {
    const password = "0nce upon a midnight dreary";
    const eve = someone({ password });
    const { access_token, refresh_token } = await node.api
      .must("POST", "/auth/register", eve)
      .then(() => node.api.must("POST", "/auth/login", { login: eve.username, password }));
    const asEve = node.api.as(access_token);
    const project = await asEve.must("POST", "/projects", { name: "Raven" });
    const answers = await Promise.all([
      node.api.post("/auth/register", eve),
      node.api.post("/auth/register", { ...eve, username: "!" }),
      node.api.post("/auth/login", { login: eve.username, password }),
      node.api.post("/auth/login", { login: eve.username, password: `${password}!` }),
      node.api.post("/auth/login", { login: "", password }),
      node.api.post("/auth/login", { login: eve.username, password: { password } }),
      node.api.post("/auth/login", `{"password":"${password}"`),
      refresh(refresh_token),
      asEve.get("/auth/me"),
      asEve.get(`/projects/${project.id}`),
      asEve.get(`/projects/${project.id}/members`),
    ]);
    expect(tally(answers)).toEqual({ 200: 5, 400: 1, 401: 1, 409: 1, 422: 3 });
    for (const { body, headers } of answers) {
      const text = JSON.stringify([body, [...headers]]);
      expect(text).not.toContain(password);
      expect(text).not.toMatch(/\$2[aby]\$|password_hash/);
    }
  });
});
