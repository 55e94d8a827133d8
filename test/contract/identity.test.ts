import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import jwt from "jsonwebtoken";
import pg from "pg";
import { until } from "../../local/until.ts";
import { openDatabase, type Statement } from "../../mixins/database.ts";
import { issueOneTimeToken } from "../../services/auth/one-time-tokens.commands.ts";
import { hashOf } from "../../services/auth/secrets.ts";
import { endSessions } from "../../services/users/account-cleanup.ts";
import type { Api } from "../support/api.ts";
import { type Answer, PASSWORD, type Person } from "../support/api.ts";
import { deactivate } from "../support/cast.ts";
import { startTestNode, type TestNode, withoutService } from "../support/node.ts";
import { TestSocket } from "../support/socket.ts";
import { expectProblem } from "../support/expectations.ts";

const ORIGIN = "https://app.example.com";

let node: TestNode;
let sql: pg.Client;

/** What the development mailer prints: the links are in there. */
const printed: string[] = [];
const write = process.stdout.write.bind(process.stdout);

beforeAll(async () => {
  process.stdout.write = ((text: string) => printed.push(String(text)) > 0) as typeof process.stdout.write;
  node = await startTestNode({ NODE_ENV: "development", CORS_ORIGINS: ["*", ORIGIN] });
  sql = new pg.Client({ connectionString: node.config.DATABASE_URL });
  await sql.connect();
});
afterAll(async () => {
  process.stdout.write = write;
  await sql?.end();
  await node?.stop();
});

const mailsTo = (email: string, page: string): string[] =>
  printed.filter((text) => text.includes(` ${email} `) && text.includes(page));

/** The token of the last link that was mailed to somebody, which is another one than `former`. */
async function linkFor(email: string, page: string, former = ""): Promise<string> {
  const find = () => /#token=([\w-]+)/.exec(mailsTo(email, page).at(-1) ?? "")?.[1];
  if (await until(() => ![undefined, former].includes(find()), 5000)) return find() as string;
  throw new Error(`no link ${page} was mailed to ${email}`);
}

const sessionOf = ({ token }: Person): string => (jwt.decode(token) as { sid: string }).sid;

const inTransaction = {
  query: async <Row>({ text, values }: Statement) => (await sql.query(text, values)).rows as Row[],
};

/** Does something while all sessions of a user are ended by a transaction that commits after it. */
async function whileSessionsEnd<Result>({ id }: Person, work: () => Promise<Result>): Promise<Result> {
  await sql.query("BEGIN");
  try {
    await endSessions(inTransaction, id);
    return await work();
  } finally {
    await sql.query("COMMIT");
  }
}

/** A statement of the node's waits for a lock of ours. */
async function waits(): Promise<void> {
  const text = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  if (!(await until(async () => (await sql.query(text)).rowCount !== 0, 5000)))
    throw new Error("nothing waits for the lock");
}

/** Begins something that writes to a table, and does `work` before it may. */
async function whileHeld<Result>(
  table: string,
  begin: () => Promise<Result>,
  work: () => Promise<unknown>,
): Promise<Result> {
  await sql.query(`BEGIN; LOCK TABLE ${table} IN SHARE MODE`);
  try {
    const begun = begin();
    await waits();
    await work();
    await sql.query("COMMIT");
    return await begun;
  } finally {
    await sql.query("ROLLBACK");
  }
}

/** The pause after somebody's last mails is over. */
const aMinuteLater = ({ id }: { id: string }) =>
  sql.query("UPDATE auth.mail_budgets SET mailed_at = mailed_at - interval '1 minute' WHERE user_id = $1", [
    id,
  ]);

const login = (person: Person, password = PASSWORD): Promise<Answer> =>
  node.api.post("/auth/login", { login: person.username, password });
const again = async (person: Person): Promise<Api> => node.api.as((await login(person)).body.access_token);

/** 202 says nothing more, and promises no type of it. */
const expectAccepted = ({ status, body, headers }: Answer): void =>
  expect([status, body, headers.get("content-length"), headers.get("content-type")]).toEqual([
    202,
    null,
    "0",
    null,
  ]);

describe("logout", () => {
  test("ends the session at once: its access token, its refresh token, its sockets; others stay", async () => {
    const ada = await node.api.person("ada");
    const other = await again(ada);
    const socket = await TestSocket.connect(node.url, { token: ada.token });
    expect((await ada.api.post("/auth/logout")).status).toBe(204);
    expectProblem(await ada.api.get("/auth/me"), 401, "invalid-token");
    expectProblem(
      await node.api.post("/auth/refresh", { refresh_token: ada.refreshToken }),
      401,
      "invalid-token",
    );
    await socket.waitFor(() => socket.socket.disconnected, "the socket to be closed");
    expect(await TestSocket.refused(node.url, { token: ada.token })).toMatchObject({ status: 401 });
    expect((await other.get("/auth/me")).status).toBe(200);
  });

  test("-all ends every session of the user, and nobody else's", async () => {
    const [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
    const [other, former] = [await again(ada), await again(ada)];
    await former.must("POST", "/auth/logout");
    const ended = () =>
      sql.query("SELECT revoked_at FROM auth.sessions WHERE user_id = $1 ORDER BY id DESC LIMIT 1", [ada.id]);
    const [before] = (await ended()).rows;
    expect((await ada.api.post("/auth/logout-all")).status).toBe(204);
    expect((await ended()).rows).toEqual([before]);
    for (const api of [ada.api, other]) expectProblem(await api.get("/auth/me"), 401, "invalid-token");
    expect((await ben.api.get("/auth/me")).status).toBe(200);
  });

  test("that this gateway was not told of is found by its poll", async () => {
    for (const ada of [await node.api.person("ada"), await node.api.person("ada")]) {
      await sql.query("UPDATE auth.sessions SET revoked_at = now() WHERE user_id = $1", [ada.id]);
      expect(await until(async () => (await ada.api.get("/auth/me")).status === 401, 5000)).toBe(true);
    }
  });

  test("that a restore to an older backup lost end too: nothing else could end them", async () => {
    const [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
    const { token } = await ada.api.must("POST", "/auth/tokens", { name: "CI", scope: "read" });
    const lost = [ada.api, node.api.as(token)];
    const [socket, kept] = await Promise.all(
      [ada, ben].map((one) => TestSocket.connect(node.url, { token: one.token })),
    );
    try {
      for (const api of lost) expect((await api.get("/tasks")).status).toBe(200);
      await sql.query("DELETE FROM auth.personal_tokens WHERE user_id = $1", [ada.id]);
      await sql.query("DELETE FROM auth.sessions WHERE user_id = $1", [ada.id]);
      await sql.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
      );
      for (const api of lost)
        expect(await until(async () => (await api.get("/tasks")).status === 401, 5000)).toBe(true);
      await socket?.waitFor(() => socket.ends.length > 0, "the end");
      expect(socket?.dismissed).toMatchObject([{ frame: "session_ended", problem: { status: 401 } }]);
      expect((await ben.api.get("/tasks")).status).toBe(200);
      expect(kept?.dismissed).toEqual([]);
    } finally {
      for (const one of [socket, kept]) one?.close();
    }
  });

  test.each(["/auth/logout", "/auth/logout-all"])("%s needs credentials", async (path) => {
    expectProblem(await node.api.post(path), 401, "unauthenticated");
  });
});

describe("a spent refresh token", () => {
  const refresh = (refresh_token: string) => node.api.post("/auth/refresh", { refresh_token });
  /** Moves the time at which a user's tokens were spent. */
  const age = ({ id }: Person, seconds: number) =>
    sql.query(
      `UPDATE auth.refresh_tokens SET spent_at = spent_at - $2 * interval '1 s'
       WHERE session_id IN (SELECT id FROM auth.sessions WHERE user_id = $1)`,
      [id, seconds],
    );

  test("that comes back when its successor was used ends the session: the thief's and the victim's tokens", async () => {
    const ada = await node.api.person("ada");
    const next = (await refresh(ada.refreshToken)).body;
    const last = (await refresh(next.refresh_token)).body;
    await age(ada, 11);
    for (const token of [ada.refreshToken, next.refresh_token, last.refresh_token])
      expectProblem(await refresh(token), 401, "invalid-token");
    expectProblem(await node.api.as(last.access_token).get("/auth/me"), 401, "invalid-token");
  });

  test("is good for a client that lost the answer as long as the successor was not used, and 10 s longer", async () => {
    const ada = await node.api.person("ada");
    const { refresh_token: successor } = (await refresh(ada.refreshToken)).body;
    await age(ada, 86_400);
    const again = await refresh(ada.refreshToken);
    expect([again.status, again.body?.refresh_token]).toEqual([200, successor]);
    const third = (await refresh(successor)).body;
    await sql.query("UPDATE auth.refresh_tokens SET spent_at = now() - interval '9 s' WHERE hash = $1", [
      hashOf(successor),
    ]);
    expect((await refresh(ada.refreshToken)).body?.refresh_token).toBe(successor);
    expect((await refresh(third.refresh_token)).status).toBe(200);
  });

  test("and one that is not spent work while users is away; those of an account that ended do not", async () => {
    const [ada, spent, closed] = await Promise.all(
      ["ada", "spent", "closed"].map((name) => node.api.person(name)),
    );
    const { refresh_token: successor } = (await refresh(spent!.refreshToken)).body;
    await deactivate(sql, closed!);
    await withoutService(node, "users", async () => {
      const { status, body } = await refresh(ada!.refreshToken);
      expect([status, body.user]).toMatchObject([200, { id: ada!.id, username: ada!.username }]);
      expect((await refresh(ada!.refreshToken)).body.refresh_token).toBe(body.refresh_token);
      expect((await refresh(spent!.refreshToken)).body.refresh_token).toBe(successor);
      expectProblem(await refresh(closed!.refreshToken), 401, "invalid-token");
    });
  });

  test("is not spent where its successor can't be stored: a failure costs nobody their session", async () => {
    const ada = await node.api.person("ada");
    await sql.query(
      "ALTER TABLE auth.refresh_tokens ADD CONSTRAINT spent CHECK (spent_at IS NOT NULL) NOT VALID",
    );
    try {
      expect((await refresh(ada.refreshToken)).status).toBeGreaterThanOrEqual(500);
    } finally {
      await sql.query("ALTER TABLE auth.refresh_tokens DROP CONSTRAINT spent");
    }
    const { refresh_token: successor } = (await refresh(ada.refreshToken)).body;
    expect((await refresh(successor)).status).toBe(200);
  });

  test("is no access token", async () => {
    const ada = await node.api.person("ada");
    expectProblem(await node.api.as(ada.refreshToken).get("/auth/me"), 401, "invalid-token");
  });
});

describe("sessions", () => {
  test("are listed to their user alone, and ended one by one", async () => {
    const [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
    const { body: opened } = await node.api.post(
      "/auth/login",
      { login: ada.username, password: PASSWORD },
      { "User-Agent": "x".repeat(400) },
    );
    const { body: unused } = await login(ada);
    const { sid } = jwt.decode(unused.access_token) as { sid: string };
    await sql.query("UPDATE auth.refresh_tokens SET expires_at = now() WHERE session_id = $1", [sid]);
    const { body } = await ada.api.get("/auth/sessions", { "User-Agent": "test" });
    expect(body).toMatchObject({ total: 2, limit: 20, offset: 0 });
    expect(body.items.map(({ current }: { current: boolean }) => current).sort()).toEqual([false, true]);
    const other = body.items.find(({ current }: { current: boolean }) => !current);
    expect(other.user_agent).toBe("x".repeat(300));
    expectProblem(await ben.api.delete(`/auth/sessions/${other.id}`), 404, "not-found");
    expect((await ada.api.delete(`/auth/sessions/${other.id}`)).status).toBe(204);
    expectProblem(await node.api.as(opened.access_token).get("/auth/me"), 401, "invalid-token");
    expectProblem(await ada.api.delete(`/auth/sessions/${other.id}`), 404, "not-found");
    expect((await ada.api.get("/auth/sessions")).body.total).toBe(1);
    expect((await ada.api.get("/auth/sessions")).body.items[0]).toMatchObject({
      user_agent: "node",
      address: "127.0.0.1",
    });
    const { rows } = await sql.query("SELECT user_agent, address FROM auth.sessions WHERE id = $1", [
      other.id,
    ]);
    expect(rows).toEqual([{ user_agent: null, address: null }]);
  });
});

describe("e-mail verification", () => {
  test("works once by the link that was mailed", async () => {
    const ada = await node.api.person("ada");
    const token = await linkFor(ada.email, "verify-email");
    expect((await ada.api.get("/auth/me")).body.is_verified).toBe(false);
    expect((await node.api.post("/auth/verify-email", { token })).status).toBe(204);
    expect((await ada.api.get("/auth/me")).body.is_verified).toBe(true);
    expectProblem(await node.api.post("/auth/verify-email", { token }), 422, "validation-failed", [
      "#/token",
    ]);
  });

  test("resent ends the link before it", async () => {
    const ada = await node.api.person("ada");
    const first = await linkFor(ada.email, "verify-email");
    await aMinuteLater(ada);
    expectAccepted(await ada.api.post("/auth/verify-email/resend"));
    const second = await linkFor(ada.email, "verify-email", first);
    expectProblem(await node.api.post("/auth/verify-email", { token: first }), 422, "validation-failed", [
      "#/token",
    ]);
    expect((await node.api.post("/auth/verify-email", { token: second })).status).toBe(204);
  });

  test("is asked for again where no mail could be sent: the account is there", async () => {
    const [username, password] = [`eve-${Date.now()}`, PASSWORD];
    const email = `${username}@example.com`;
    await withoutService(node, "mailer", async () => {
      expect((await node.api.post("/auth/register", { email, username, password })).status).toBe(201);
    });
    const { body } = await node.api.post("/auth/login", { login: username, password });
    expectAccepted(await node.api.as(body.access_token).post("/auth/verify-email/resend"));
    await linkFor(email, "verify-email");
  });

  test("a link is not spent by a verification that failed", async () => {
    const ada = await node.api.person("ada");
    const token = await linkFor(ada.email, "verify-email");
    const confirm = () => node.api.post("/auth/verify-email", { token });
    await withoutService(node, "users", async () =>
      expectProblem(await confirm(), 503, "service-unavailable"),
    );
    expect((await confirm()).status).toBe(204);
    expect((await ada.api.get("/auth/me")).body.is_verified).toBe(true);
  });

  test("asked for ten times at once is mailed once", async () => {
    const ada = await node.api.person("ada");
    await aMinuteLater(ada);
    const before = mailsTo(ada.email, "verify-email").length;
    const asked = Array.from({ length: 10 }, () => ada.api.post("/auth/verify-email/resend"));
    for (const answer of await Promise.all(asked)) expectAccepted(answer);
    expect(mailsTo(ada.email, "verify-email").length - before).toBe(1);
  });

  test("mails ten addresses of a user in a day, and no more", async () => {
    const ada = await node.api.person("ada");
    const addresses = Array.from({ length: 12 }, (_, at) => `${at}-${ada.email}`);
    for (const email of addresses) {
      await ada.api.must("PATCH", `/users/${ada.id}`, { email });
      expectAccepted(await ada.api.post("/auth/verify-email/resend"));
    }
    const mailed = (list: string[]) => list.map((email) => mailsTo(email, "verify-email").length);
    expect(mailed([ada.email, ...addresses])).toEqual([...Array<number>(10).fill(1), 0, 0, 0]);
    await sql.query(
      "UPDATE auth.mail_budgets SET day_began = day_began - interval '1 day' WHERE user_id = $1",
      [ada.id],
    );
    await ada.api.must("PATCH", `/users/${ada.id}`, { email: `later-${ada.email}` });
    expect(mailed([`later-${ada.email}`])).toEqual([1]);
  });

  test("that could not be handed over costs nothing: it can be asked for again at once", async () => {
    const ada = await node.api.person("ada");
    await aMinuteLater(ada);
    await withoutService(node, "mailer", async () =>
      expectProblem(await ada.api.post("/auth/verify-email/resend"), 503, "service-unavailable"),
    );
    expectAccepted(await ada.api.post("/auth/verify-email/resend"));
    expect(mailsTo(ada.email, "verify-email")).toHaveLength(2);
  });

  test.each([{}, { token: "" }, { token: "nonsense" }, { token: 1 }])("with %j is 422", async (body) => {
    expectProblem(await node.api.post("/auth/verify-email", body), 422, "validation-failed", ["#/token"]);
  });

  test("resend needs credentials", async () => {
    expectProblem(await node.api.post("/auth/verify-email/resend"), 401, "unauthenticated");
  });
});

describe("a forgotten password", () => {
  test("is answered 202 for anybody, and reset once by the link; all sessions end", async () => {
    const ada = await node.api.person("ada");
    const pat = (await ada.api.must("POST", "/auth/tokens", { name: "CI", scope: "read" })).token;
    for (const email of [` ${ada.email.toUpperCase()} `, "nobody@example.com"])
      expectAccepted(await node.api.post("/auth/password/forgot", { email }));
    const token = await linkFor(ada.email, "reset-password");
    const reset = (password: string) => node.api.post("/auth/password/reset", { token, password });
    expectProblem(await reset("short"), 422, "validation-failed", ["#/password"]);
    expect((await reset("a new and better one")).status).toBe(204);
    expectProblem(await reset("another one again"), 422, "validation-failed", ["#/token"]);
    expectProblem(await ada.api.get("/auth/me"), 401, "invalid-token");
    expectProblem(await node.api.as(pat).get("/auth/me"), 401, "invalid-token");
    expectProblem(await login(ada), 401, "invalid-credentials");
    expect((await login(ada, "a new and better one")).status).toBe(200);
    expect(printed.some((text) => text.includes("nobody@example.com"))).toBe(false);
  });

  test.each(["ada\u001b[2J@example.com", "ada\u202e@example.com", "a\nda@example.com", " "])(
    "of what can be no address (%j) is 422",
    async (email) => {
      const answer = await node.api.post("/auth/password/forgot", { email });
      expectProblem(answer, 422, "validation-failed", ["#/email"]);
    },
  );

  test("a link speaks for the address that it was mailed to: not for the one that was taken since", async () => {
    const ada = await node.api.person("ada");
    await node.api.post("/auth/password/forgot", { email: ada.email });
    const token = await linkFor(ada.email, "reset-password");
    const verify = await linkFor(ada.email, "verify-email");
    await ada.api.must("PATCH", `/users/${ada.id}`, { email: `new-${ada.email}` });
    const reset = await node.api.post("/auth/password/reset", { token, password: "a new and better one" });
    expectProblem(reset, 422, "validation-failed", ["#/token"]);
    expectProblem(await node.api.post("/auth/verify-email", { token: verify }), 422, "validation-failed", [
      "#/token",
    ]);
    expect((await login(ada)).status).toBe(200);
  });

  test("asked for ten times at once is mailed once, and again a minute later", async () => {
    const [ada, ben, carl] = [
      await node.api.person("ada"),
      await node.api.person("ben"),
      await node.api.person("carl"),
    ];
    const forgot = ({ email }: Person) => node.api.post("/auth/password/forgot", { email });
    const mailed = ({ email }: Person) => mailsTo(email, "reset-password").length;
    /** They are prepared in turn, two at a time: once the last two are mailed all before them are through. */
    const mailedOnceThrough = async (last: Person[]): Promise<number> => {
      for (const person of last) expectAccepted(await forgot(person));
      expect(await until(() => last.every((person) => mailed(person) > 0), 5000)).toBe(true);
      return mailed(ada);
    };
    for (const { status } of await Promise.all(Array.from({ length: 10 }, () => forgot(ada))))
      expect(status).toBe(202);
    expect(await mailedOnceThrough([ben, carl])).toBe(1);
    const first = await linkFor(ada.email, "reset-password");
    await aMinuteLater(ada);
    await forgot(ada);
    expect(await until(() => mailed(ada) === 2, 5000)).toBe(true);
    // The link before is as good, and whose links ended with the old password does not wait for the minute.
    const reset = await node.api.post("/auth/password/reset", { token: first, password: PASSWORD });
    expect(reset.status).toBe(204);
    await forgot(ada);
    expect(await until(() => mailed(ada) === 3, 5000)).toBe(true);
  });

  test("links live as long as their mails say: an hour to reset, a day to verify", async () => {
    const ada = await node.api.person("ada");
    await node.api.post("/auth/password/forgot", { email: ada.email });
    await linkFor(ada.email, "reset-password");
    const { rows } = await sql.query(
      `SELECT purpose, ceil(extract(epoch FROM expires_at - now()) / 60)::int AS minutes
       FROM auth.one_time_tokens WHERE user_id = $1 ORDER BY purpose`,
      [ada.id],
    );
    expect(rows).toEqual([
      { purpose: "reset_password", minutes: 60 },
      { purpose: "verify_email", minutes: 1440 },
    ]);
  });

  test("links of before are over before anything tidies them away, and hold back no new one", async () => {
    const ada = await node.api.person("ada");
    const forgot = () => node.api.post("/auth/password/forgot", { email: ada.email });
    await forgot();
    const [verify, reset] = [
      await linkFor(ada.email, "verify-email"),
      await linkFor(ada.email, "reset-password"),
    ];
    await sql.query("UPDATE users.users SET sessions_generation = 2 WHERE id = $1", [ada.id]);
    const late = await node.api.post("/auth/verify-email", { token: verify });
    expectProblem(late, 422, "validation-failed", ["#/token"]);
    await forgot();
    const token = await linkFor(ada.email, "reset-password", reset);
    expect((await node.api.post("/auth/password/reset", { token, password: PASSWORD })).status).toBe(204);
  });

  test("mails that wait to be prepared are bounded: beyond a hundred the answer is 503", async () => {
    const ada = await node.api.person("ada");
    const answers: Answer[] = [];
    await whileHeld(
      "auth.one_time_tokens",
      () => node.api.post("/auth/password/forgot", { email: ada.email }),
      async () => {
        // Not so many at once that a slow machine refuses strangers.
        for (let turn = 0; turn < 6; turn++) {
          const asked = Array.from({ length: 20 }, () =>
            node.api.post("/auth/password/forgot", { email: ada.email }),
          );
          answers.push(...(await Promise.all(asked)));
        }
      },
    );
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) expectProblem(answer, 503, "overloaded");
    expect(answers.filter(({ status }) => status === 202).length).toBeGreaterThanOrEqual(100);
  });

  test("a reset that sets no password ends no session", async () => {
    const ada = await node.api.person("ada");
    await node.api.post("/auth/password/forgot", { email: ada.email });
    const token = await linkFor(ada.email, "reset-password");
    await withoutService(node, "users", async () => {
      const answer = await node.api.post("/auth/password/reset", { token, password: "a new and better one" });
      expectProblem(answer, 503, "service-unavailable");
    });
    await ada.api.must("PATCH", `/users/${ada.id}`, { email: `new-${ada.email}` });
    const late = await node.api.post("/auth/password/reset", { token, password: "a new and better one" });
    expectProblem(late, 422, "validation-failed", ["#/token"]);
    expect((await ada.api.get("/auth/sessions")).body.total).toBe(1);
    expect((await node.api.post("/auth/refresh", { refresh_token: ada.refreshToken })).status).toBe(200);
  });

  test("a link is not spent by a reset that failed: the second try sets the password", async () => {
    const ada = await node.api.person("ada");
    await node.api.post("/auth/password/forgot", { email: ada.email });
    const token = await linkFor(ada.email, "reset-password");
    const reset = () => node.api.post("/auth/password/reset", { token, password: "a new and better one" });
    await withoutService(node, "users", async () => {
      expectProblem(await reset(), 503, "service-unavailable");
    });
    // The commit itself fails, after the link was found.
    await sql.query(
      "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; CREATE TRIGGER fail BEFORE INSERT ON users.endings EXECUTE FUNCTION fail()",
    );
    try {
      expectProblem(await reset(), 500, "internal-error");
    } finally {
      await sql.query("DROP FUNCTION fail CASCADE");
    }
    expect((await login(ada)).status).toBe(200);
    expect((await reset()).status).toBe(204);
    expect((await login(ada, "a new and better one")).status).toBe(200);
  });

  test("one link resets once, though two use it at once", async () => {
    const ada = await node.api.person("ada");
    await node.api.post("/auth/password/forgot", { email: ada.email });
    const token = await linkFor(ada.email, "reset-password");
    const resets = await Promise.all(
      ["the first new one", "the second new one"].map((password) =>
        node.api.post("/auth/password/reset", { token, password }),
      ),
    );
    expect(resets.map(({ status }) => status).sort()).toEqual([204, 422]);
  });

  test("a link that is for something else is 422, and goes on being good for what it is for", async () => {
    const ada = await node.api.person("ada");
    const verify = await linkFor(ada.email, "verify-email");
    await node.api.post("/auth/password/forgot", { email: ada.email });
    const token = await linkFor(ada.email, "reset-password");
    const reset = (one: string) => node.api.post("/auth/password/reset", { token: one, password: PASSWORD });
    const confirm = (one: string) => node.api.post("/auth/verify-email", { token: one });
    for (const answer of [await reset(verify), await confirm(token)])
      expectProblem(answer, 422, "validation-failed", ["#/token"]);
    expect((await login(ada)).body.user.is_verified).toBe(false);
    for (const answer of [await confirm(verify), await reset(token)]) expect(answer.status).toBe(204);
  });

  test("a link that has expired is 422", async () => {
    const ada = await node.api.person("ada");
    await node.api.post("/auth/password/forgot", { email: ada.email });
    const token = await linkFor(ada.email, "reset-password");
    await sql.query("UPDATE auth.one_time_tokens SET expires_at = now() WHERE user_id = $1", [ada.id]);
    const answer = await node.api.post("/auth/password/reset", { token, password: "a new and better one" });
    expectProblem(answer, 422, "validation-failed", ["#/token"]);
    expect((await login(ada)).status).toBe(200);
  });
});

test.each(["verify_email", "reset_password"] as const)(
  "of two links (%s) that are made at once, by any two nodes, one is mailed",
  async (purpose) => {
    const ada = await node.api.person("ada");
    await aMinuteLater(ada);
    const db = openDatabase(node.config, () => {});
    try {
      await sql.query("BEGIN");
      expect(await issueOneTimeToken(inTransaction, purpose, ada)).toMatch(/./);
      let settled = false;
      const second = issueOneTimeToken(db, purpose, ada).finally(() => (settled = true));
      const waits = async () =>
        settled || (await sql.query("SELECT FROM pg_locks WHERE NOT granted")).rowCount !== 0;
      expect(await until(waits, 5000)).toBe(true);
      await sql.query("COMMIT");
      expect(await second).toBeNull();
    } finally {
      await db.close();
    }
  },
);

test("a storm of logins is turned away at the door beyond fifty, and the door is open again after it", async () => {
  const ada = await node.api.person("ada");
  const answers: Answer[] = [];
  const enter = () => login(ada).then((answer) => void answers.push(answer));
  const storm = await whileHeld(
    "auth.sessions",
    async () => Array.from({ length: 60 }, enter),
    () => until(() => answers.length >= 10, 5000),
  );
  for (const answer of answers.slice(0, 10)) {
    expectProblem(answer, 503, "overloaded");
    expect(answer.headers.get("retry-after")).toBe("5");
  }
  await Promise.all(storm);
  expect((await login(ada)).status).toBe(200);
});

describe("changing the password", () => {
  test("ends also the session of a login, and a personal token, that are made while it commits", async () => {
    const ada = await node.api.person("ada");
    const { body: opened, minted } = await whileSessionsEnd(ada, async () => ({
      ...(await login(ada)),
      minted: await ada.api.must("POST", "/auth/tokens", { name: "CI", scope: "write" }),
    }));
    const refreshed = await node.api.post("/auth/refresh", { refresh_token: opened.refresh_token });
    expectProblem(refreshed, 401, "invalid-token");
    expectProblem(await node.api.as(minted.token).get("/auth/me"), 401, "invalid-token");
    // No hint tells the gateway of either: its poll does.
    const me = async () => (await node.api.as(opened.access_token).get("/auth/me")).status;
    expect(await until(async () => (await me()) === 401, 5000)).toBe(true);
  });

  test("is found out by a login whose password was checked before: it opens no session", async () => {
    const ada = await node.api.person("ada");
    const late = await whileHeld(
      "auth.sessions",
      () => login(ada),
      () => change(ada, { current_password: PASSWORD, password: "a new and better one" }),
    );
    expectProblem(late, 401, "invalid-credentials");
  });

  test("is 409 where the account's sessions end before it is set, and sets nothing", async () => {
    const ada = await node.api.person("ada");
    const [late] = await whileSessionsEnd(ada, async () => {
      const changing = change(ada, { current_password: PASSWORD, password: "a new and better one" });
      await waits();
      return [changing];
    });
    expectProblem((await late) as Answer, 409, "conflict");
    expect((await login(ada)).status).toBe(200);
  });

  test("ends the links that were mailed before", async () => {
    const ada = await node.api.person("ada");
    await node.api.post("/auth/password/forgot", { email: ada.email });
    const token = await linkFor(ada.email, "reset-password");
    const body = { current_password: PASSWORD, password: "a new and better one" };
    expect((await change(ada, body)).status).toBe(204);
    const reset = await node.api.post("/auth/password/reset", { token, password: "the stranger's" });
    expectProblem(reset, 422, "validation-failed", ["#/token"]);
    expect((await login(ada, "a new and better one")).status).toBe(200);
  });

  test("keeps the session that did it, until that is logged out or another one changes it", async () => {
    const ada = await node.api.person("ada");
    const passwords = [PASSWORD, "the second password", "the third password", "the fourth password"];
    const changeTo = (api: Api, at: number) =>
      api.post("/auth/password/change", { current_password: passwords[at - 1], password: passwords[at] });
    const refresh = async (token: string) => node.api.post("/auth/refresh", { refresh_token: token });
    expect((await changeTo(ada.api, 1)).status).toBe(204);
    expect((await changeTo(ada.api, 2)).status).toBe(204);
    const { body: kept } = await refresh(ada.refreshToken);
    expect((await node.api.as(kept.access_token).get("/auth/sessions")).body.total).toBe(1);

    const { body: other } = await login(ada, passwords[2]);
    expect((await changeTo(node.api.as(other.access_token), 3)).status).toBe(204);
    expectProblem(await refresh(kept.refresh_token), 401, "invalid-token");
    expectProblem(await node.api.as(kept.access_token).get("/auth/me"), 401, "invalid-token");
    expect((await node.api.as(other.access_token).post("/auth/logout")).status).toBe(204);
    expectProblem(await refresh(other.refresh_token), 401, "invalid-token");
  });

  test("by a session that has ended, which the gateway has not heard of, is 401 and brings nothing back", async () => {
    const ada = await node.api.person("ada");
    await sql.query(
      `UPDATE users.users SET sessions_generation = 2, sessions_ended_at = now() - interval '2 days' WHERE id = $1`,
      [ada.id],
    );
    const body = { current_password: PASSWORD, password: "a new and better one" };
    expectProblem(await change(ada, body), 401, "invalid-token");
    const refreshed = await node.api.post("/auth/refresh", { refresh_token: ada.refreshToken });
    expectProblem(refreshed, 401, "invalid-token");
    expect((await login(ada)).status).toBe(200);
  });

  const change = (person: Person, body: object) => person.api.post("/auth/password/change", body);

  test("needs the present one, and ends the other sessions", async () => {
    const ada = await node.api.person("ada");
    const other = await again(ada);
    expectProblem(
      await change(ada, { current_password: "wrong", password: "a new and better one" }),
      422,
      "validation-failed",
      ["#/current_password"],
    );
    const body = { current_password: PASSWORD, password: "a new and better one" };
    expect((await change(ada, body)).status).toBe(204);
    expect((await ada.api.get("/auth/me")).status).toBe(200);
    expectProblem(await other.get("/auth/me"), 401, "invalid-token");
    expect((await login(ada, "a new and better one")).status).toBe(200);
  });

  test("to one that is too short, too long or too common is 422", async () => {
    const ada = await node.api.person("ada");
    for (const password of ["short", "x".repeat(129), "password1"])
      expectProblem(await change(ada, { current_password: PASSWORD, password }), 422, "validation-failed", [
        "#/password",
      ]);
  });
});

describe("personal access tokens", () => {
  test("are not made by a session that has ended, though the gateway has not heard of it", async () => {
    const ada = await node.api.person("ada");
    const { id, session } = { id: ada.id, session: sessionOf(ada) };
    await sql.query("UPDATE auth.sessions SET revoked_at = now() - interval '1 day' WHERE id = $1", [
      session,
    ]);
    expectProblem(await ada.api.post("/auth/tokens", { name: "x", scope: "read" }), 401, "invalid-token");
    const { rows } = await sql.query("SELECT FROM auth.personal_tokens WHERE user_id = $1", [id]);
    expect(rows).toEqual([]);
  });

  test("of an account that is not active are 401", async () => {
    const ada = await node.api.person("ada");
    const { token } = await ada.api.must("POST", "/auth/tokens", { name: "CI", scope: "read" });
    await sql.query("UPDATE users.users SET is_active = false WHERE id = $1", [ada.id]);
    expectProblem(await node.api.as(token).get("/auth/me"), 401, "invalid-token");
    await sql.query("UPDATE users.users SET is_active = true WHERE id = $1", [ada.id]);
    expect((await node.api.as(token).get("/auth/me")).status).toBe(200);
  });

  test("are shown once, speak for their user within their scope, and end when revoked", async () => {
    const ada = await node.api.person("ada");
    const created = await ada.api.post("/auth/tokens", { name: "CI", scope: "read" });
    expect(created.status).toBe(201);
    expect(created.headers.get("location")).toBe(`/auth/tokens/${created.body.id}`);
    const { token, ...shown } = created.body;
    expect(token).toMatch(/^twp_[\w-]{43}$/);
    expect((await ada.api.get("/auth/tokens")).body.items).toEqual([shown]);

    const reader = node.api.as(token);
    expect((await reader.get("/auth/me")).body.id).toBe(ada.id);
    expectProblem(await reader.post("/tasks", { title: "No" }), 403, "forbidden");
    const writer = node.api.as(
      (await ada.api.must("POST", "/auth/tokens", { name: "Bot", scope: "write" })).token,
    );
    expect((await writer.post("/tasks", { title: "Yes" })).status).toBe(201);
    for (const path of ["/auth/sessions", "/auth/tokens"])
      expectProblem(await writer.get(path), 403, "forbidden");
    for (const path of ["/auth/logout", "/auth/logout-all"])
      expectProblem(await writer.post(path), 403, "forbidden");
    expectProblem(await writer.post("/auth/tokens", { name: "More", scope: "write" }), 403, "forbidden");

    expect((await ada.api.delete(`/auth/tokens/${shown.id}`)).status).toBe(204);
    expectProblem(await reader.get("/auth/me"), 401, "invalid-token");
    expectProblem(await ada.api.delete(`/auth/tokens/${shown.id}`), 404, "not-found");
    const { rows } = await sql.query("SELECT encode(hash, 'escape') AS hash FROM auth.personal_tokens");
    expect(JSON.stringify(rows)).not.toContain(token.slice(4));
  });

  test("are their user's alone", async () => {
    const [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
    const { id } = await ada.api.must("POST", "/auth/tokens", { name: "CI", scope: "read" });
    expectProblem(await ben.api.delete(`/auth/tokens/${id}`), 404, "not-found");
    expect((await ben.api.get("/auth/tokens")).body.items).toEqual([]);
  });

  test.each([
    [{ scope: "read" }, "#/name"],
    [{ name: "x", scope: "admin" }, "#/scope"],
    [{ name: "x", scope: "read", expires_at: "2020-01-01T00:00:00Z" }, "#/expires_at"],
  ])("%j is 422", async (body, pointer) => {
    const ada = await node.api.person("ada");
    expectProblem(await ada.api.post("/auth/tokens", body), 422, "validation-failed", [pointer]);
  });

  test("that are unknown or expired are 401", async () => {
    const ada = await node.api.person("ada");
    const soon = new Date(Date.now() + 60_000).toISOString();
    const { token, id } = await ada.api.must("POST", "/auth/tokens", {
      name: "x",
      scope: "read",
      expires_at: soon,
    });
    await sql.query("UPDATE auth.personal_tokens SET expires_at = now() WHERE id = $1", [id]);
    for (const one of [token, `twp_${"x".repeat(43)}`])
      expectProblem(await node.api.as(one).get("/auth/me"), 401, "invalid-token");
  });
});

describe("cookie mode", () => {
  const cookiesOf = (answer: Answer) => answer.headers.getSetCookie();
  const pair = (cookie: string) => cookie.split(";")[0] as string;
  const enter = (person: Person): Promise<Answer> =>
    node.api.post("/auth/login", { login: person.username, password: PASSWORD, cookie: true });
  /** The browser forgets the cookie of both prefixes. */
  const expectCleared = (answer: Answer) =>
    expect(cookiesOf(answer)).toEqual(
      ["/auth", "/api/v1/auth"].map((path) =>
        expect.stringMatching(new RegExp(`^__Secure-taskwire_refresh=; Max-Age=0; Path=${path};`)),
      ),
    );

  test("keeps the refresh token out of the body, and in a cookie that no script and no other site reads", async () => {
    const ada = await node.api.person("ada");
    const answer = await enter(ada);
    expect(answer.body.refresh_token).toBeUndefined();
    expect(cookiesOf(answer).map((cookie) => /Path=([^;]+)/.exec(cookie)?.[1])).toEqual([
      "/auth",
      "/api/v1/auth",
    ]);
    for (const cookie of cookiesOf(answer)) {
      expect(cookie).toMatch(/^__Secure-taskwire_refresh=/);
      expect(cookie).toMatch(/HttpOnly.*Secure.*SameSite=Strict/i);
      expect(cookie).toMatch(/; Max-Age=2592000;/);
    }

    const next = await node.api.post("/auth/refresh", undefined, {
      Cookie: pair(cookiesOf(answer)[0] as string),
    });
    expect(next.status).toBe(200);
    expect(next.body.refresh_token).toBeUndefined();
    expect(pair(cookiesOf(next)[0] as string)).not.toBe(pair(cookiesOf(answer)[0] as string));
    const { rows } = await sql.query(
      `SELECT DISTINCT ceil(extract(epoch FROM expires_at - now()) / 3600)::int AS hours
       FROM auth.refresh_tokens t JOIN auth.sessions s ON s.id = t.session_id WHERE s.user_id = $1`,
      [ada.id],
    );
    expect(rows).toEqual([{ hours: 720 }]);

    expectCleared(await node.api.as(next.body.access_token).post("/auth/logout"));
    expectProblem(
      await node.api.post("/auth/refresh", undefined, { Cookie: pair(cookiesOf(next)[0] as string) }),
      401,
      "invalid-token",
    );
  });

  test("logging out everywhere takes the cookie away, too", async () => {
    const { body } = await enter(await node.api.person("ada"));
    expectCleared(await node.api.as(body.access_token).post("/auth/logout-all"));
  });

  test.each<[who: string, headers: (host: string) => Record<string, string>]>([
    ["another origin", () => ({ Origin: "https://evil.example" })],
    ["another host of the same site", () => ({ Origin: "https://blog.example.com" })],
    ["a page without an origin", () => ({ Origin: "null" })],
    [
      "an origin that only * lets in, with this API's host as its name",
      (host) => ({ Origin: `https://x.${host}` }),
    ],
    ["a page of elsewhere that sends no Origin", () => ({ "Sec-Fetch-Site": "same-site" })],
    [
      "this host's page of another scheme",
      (host) => ({ Origin: `http://${host}`, "Sec-Fetch-Site": "cross-site" }),
    ],
  ])("a refresh by cookie from %s is 403, and spends nothing", async (_, headers) => {
    const entered = await enter(await node.api.person("ada"));
    const Cookie = pair(cookiesOf(entered)[0] as string);
    const refused = await node.api.post("/auth/refresh", undefined, {
      Cookie,
      ...headers(new URL(node.url).host),
    });
    expectProblem(refused, 403, "forbidden");
    expect(cookiesOf(refused)).toEqual([]);
    const { rows } = await sql.query(
      `SELECT spent_at FROM auth.refresh_tokens t JOIN auth.sessions s ON s.id = t.session_id
       WHERE s.user_id = $1 AND spent_at IS NOT NULL`,
      [entered.body.user.id],
    );
    expect(rows).toEqual([]);
  });

  test.each<[who: string, headers: (host: string) => Record<string, string>]>([
    ["an origin that CORS_ORIGINS names", () => ({ Origin: ORIGIN, "Sec-Fetch-Site": "same-site" })],
    ["the API's own origin", (host) => ({ Origin: `http://${host}` })],
    [
      "the API's own origin behind a proxy that renames it",
      () => ({ Origin: "https://tasks.example", "Sec-Fetch-Site": "same-origin" }),
    ],
  ])("a refresh by cookie from %s is answered", async (_, headers) => {
    const entered = await enter(await node.api.person("ada"));
    const Cookie = pair(cookiesOf(entered)[0] as string);
    const { status, body } = await node.api.post("/auth/refresh", undefined, {
      Cookie,
      ...headers(new URL(node.url).host),
    });
    expect([status, body.refresh_token]).toEqual([200, undefined]);
  });

  test("a refresh token in the body is no cookie: any origin may bring one", async () => {
    const { refreshToken: refresh_token } = await node.api.person("ada");
    const answer = await node.api.post(
      "/auth/refresh",
      { refresh_token },
      { Origin: "https://evil.example" },
    );
    expect(answer.status).toBe(200);
  });

  test("a refresh with neither body nor cookie is 422", async () => {
    expectProblem(await node.api.post("/auth/refresh"), 422, "validation-failed", ["#/refresh_token"]);
  });
});
