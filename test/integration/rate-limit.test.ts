import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Redis } from "ioredis";
import type { ServiceBroker } from "moleculer";
import { type Config, ConfigError, loadConfig } from "../../core/config.ts";
import { newId } from "../../core/ids.ts";
import { startRedis } from "../../local/redis.ts";
import { until } from "../../local/until.ts";
import { startNode } from "../../node.ts";
import { type Answer, Api, PASSWORD, type Person } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { freshDatabase } from "../support/database.ts";
import { testConfig } from "../support/node.ts";
import { type Raw, send } from "../support/raw-http.ts";

interface TestGateway {
  api: Api;
  /** What the gateway logged of Redis. */
  lines: string[];
}

let redis: Awaited<ReturnType<typeof startRedis>>;
let databaseUrl: string;
let unlimited: Api;
let ada: Person;
let bob: Person;
/** Budgets of one test are not another's. */
let namespace = newId();
const brokers: ServiceBroker[] = [];

async function startGateway(overrides: Partial<Config> = {}): Promise<TestGateway> {
  const config = testConfig(databaseUrl, {
    RATE_LIMIT: "on",
    REDIS_URL: redis.url,
    NAMESPACE: namespace,
    RATE_LIMIT_AUTH: { points: 1000, duration: 60 },
    ...overrides,
  });
  const broker = await startNode(config);
  brokers.push(broker);
  const service = broker.getLocalService("api-gateway") as unknown as {
    server: Server;
    logger: Record<"warn" | "info", (line: unknown) => void>;
  };
  const lines: string[] = [];
  for (const level of ["warn", "info"] as const)
    // The line of a request begins with an object.
    service.logger[level] = (line) =>
      void (typeof line === "string" && line.startsWith("Redis is") && lines.push(line));
  if (config.RATE_LIMIT === "on" && config.REDIS_URL !== "") await countsInRedis();
  return { api: new Api(`http://127.0.0.1:${(service.server.address() as AddressInfo).port}`), lines };
}

/** The gateways of this test write their beat. */
async function countsInRedis(): Promise<void> {
  const client = new Redis(redis.url);
  try {
    if (!(await until(async () => (await client.exists(`${namespace}:rate-limit:beat`)) === 1, 5000)))
      throw new Error("the gateway does not reach Redis");
  } finally {
    client.disconnect();
  }
}

async function times<T>(count: number, once: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < count; i++) results.push(await once());
  return results;
}

async function inTurn<From, To>(items: From[], one: (item: From) => Promise<To>): Promise<To[]> {
  const results: To[] = [];
  for (const item of items) results.push(await one(item));
  return results;
}

/** Tries something within a window of some seconds; where a slow machine let it end too soon, again within a longer one. */
async function inWindow<Result>(
  first: number,
  attempt: (seconds: number) => Promise<Result>,
  isTooLate: (result: Result) => boolean,
): Promise<{ result: Result; seconds: number }> {
  for (let seconds = first; ; seconds *= 2) {
    const result = await attempt(seconds);
    if (!isTooLate(result) || seconds > 10) return { result, seconds };
  }
}

const statuses = (answers: Answer[]): number[] => answers.map(({ status }) => status);
const count = (answers: Answer[], status: number): number =>
  answers.filter((answer) => answer.status === status).length;
const forwardedFor = (list: string) => ({ "X-Forwarded-For": list });

function expectRefusal({ status, headers, body }: Answer, budget: string, seconds: number): void {
  expect({ status, type: body?.type, code: body?.status }).toEqual({
    status: 429,
    type: "/problems/rate-limited",
    code: 429,
  });
  expect(headers.get("content-type")).toMatch(/^application\/problem\+json/);
  const wait = Number(headers.get("retry-after"));
  expect(wait).toBeGreaterThanOrEqual(1);
  expect(wait).toBeLessThanOrEqual(seconds);
  expect(headers.get("ratelimit")).toContain(`"${budget}";r=0;t=${wait}`);
}

beforeAll(async () => {
  [redis, databaseUrl] = await Promise.all([startRedis(), freshDatabase()]);
  unlimited = (await startGateway({ RATE_LIMIT: "off" })).api;
  ada = await unlimited.person("ada");
  bob = await unlimited.person("bob");
});
afterEach(async () => {
  // The last one is the unlimited gateway's.
  await Promise.all(brokers.splice(1).map((broker) => broker.stop()));
  namespace = newId();
});
afterAll(async () => {
  await Promise.all(brokers.map((broker) => broker.stop()));
  await redis?.stop();
});

describe("a budget", () => {
  const small = { RATE_LIMIT_DEFAULT: { points: 3, duration: 60 } };

  test("is told on every answer, success or not", async () => {
    const { api } = await startGateway();
    const answers = [
      await api.as(ada.token).get("/auth/me"),
      await api.as(ada.token).get(`/tasks/${newId()}`),
      await api.as(ada.token).post("/tasks", { title: 1 }),
      await api.get("/tasks"),
    ];
    expect(statuses(answers)).toEqual([200, 404, 422, 401]);
    expect(answers.map(({ headers }) => headers.get("ratelimit-policy"))).toEqual(
      Array(4).fill('"default";q=300;w=60'),
    );
    expect(answers.map(({ headers }) => headers.get("ratelimit"))).toEqual(
      [299, 298, 297, 299].map((left) =>
        expect.stringMatching(new RegExp(`^"default";r=${left};t=(60|5\\d)$`)),
      ),
    );
    expect(answers.some(({ headers }) => headers.has("retry-after"))).toBe(false);
  });

  test("is stricter where secrets are asked for", async () => {
    const { api } = await startGateway({ RATE_LIMIT_AUTH: { points: 3, duration: 60 } });
    const answers = [
      await api.post("/auth/register", {}),
      await api.post("/auth/refresh", { refresh_token: "none" }),
      await api.post("/api/v1/auth/login", { login: ada.username, password: PASSWORD }),
    ];
    expect(statuses(answers)).toEqual([422, 401, 200]);
    expect(answers[2]?.headers.get("ratelimit-policy")).toBe('"auth";q=3;w=60');
    // However its path is spelt, as far as the router takes it.
    for (const path of ["/auth/register", "/%61uth/register/"])
      expectRefusal(await api.post(path, {}), "auth", 60);
    for (const path of ["/AUTH/register", "/auth/register//", "/API/v1/Auth/Register"])
      expect((await api.post(path, {})).status).toBe(404);
    // Whoever is logged in is not the worse for it.
    expect((await api.as(ada.token).get("/auth/me")).status).toBe(200);
  });

  test("is stricter for a change that names a new address, which mails somebody", async () => {
    const { api } = await startGateway({ RATE_LIMIT_AUTH: { points: 2, duration: 60 } });
    const eve = await unlimited.person("eve");
    const change = (body: object) => api.as(eve.token).patch(`/users/${eve.id}`, body);
    const answers = await times(3, () => change({ email: `${newId()}@example.com` }));
    expect(statuses(answers)).toEqual([200, 200, 429]);
    expect(answers[0]?.headers.get("ratelimit-policy")).toBe('"default";q=300;w=60, "auth";q=2;w=60');
    expect(answers[2]?.headers.get("retry-after")).toMatch(/^\d+$/);
    expect((await change({ first_name: "Eve" })).status).toBe(200);
  });

  test("is shared by all gateways, and no one else's", async () => {
    const [first, second] = [await startGateway(small), await startGateway(small)];
    expect(statuses(await times(2, () => first.api.as(ada.token).get("/auth/me")))).toEqual([200, 200]);
    expect((await second.api.as(ada.token).get("/auth/me")).status).toBe(200);
    for (const { api } of [first, second]) {
      expectRefusal(await api.as(ada.token).get("/auth/me"), "default", 60);
      expectRefusal(await api.as(ada.token).get("/api/v1/auth/me/"), "default", 60);
    }
    expect((await second.api.as(bob.token).get("/auth/me")).status).toBe(200);
    expect((await second.api.get("/auth/me")).status).toBe(401);
  });

  test("is taken by each path: unknown ones, pages, documents, OPTIONS, preflights, malformed requests", async () => {
    const { api } = await startGateway({ RATE_LIMIT_DEFAULT: { points: 11, duration: 60 } });
    const preflight = { Origin: "https://app.example.com", "Access-Control-Request-Method": "POST" };
    const requests: Raw[] = [
      { path: "/nothing" },
      { path: "/api/v1/nothing/at/all" },
      { path: "/redoc" },
      { path: "/docs" },
      { path: "/problems/nothing" },
      { path: "/openapi.json", headers: { "If-None-Match": "*" } },
      { path: "/tasks", method: "OPTIONS" },
      { path: "/tasks", method: "OPTIONS", headers: preflight },
      { path: "/tasks/%ZZ" },
      { path: "/tasks", headers: { Expect: "the best" } },
      { path: "/tasks", method: "PURGE" },
    ];
    const answers = await inTurn(requests, (request) => send(api.url, request));
    expect(statuses(answers)).toEqual([404, 404, 200, 200, 404, 304, 204, 204, 400, 417, 405]);
    expect(answers.map(({ headers }) => headers.get("ratelimit")?.replace(/;t=.*/, ""))).toEqual(
      answers.map((_answer, at) => `"default";r=${10 - at}`),
    );
    for (const request of requests) expectRefusal(await send(api.url, request), "default", 60);
    // A user who is known is not their address.
    expect((await api.as(ada.token).get("/nothing")).status).toBe(404);
    const user = await send(api.url, { path: "/docs", headers: { Authorization: `Bearer ${ada.token}` } });
    expect(user.headers.get("ratelimit")).toMatch(/^"default";r=9;/);
  });

  test("is told to scripts of other origins, too", async () => {
    const { api } = await startGateway({ RATE_LIMIT_DEFAULT: { points: 1, duration: 60 } });
    const answers = await times(2, () => api.get("/tasks", { Origin: "https://app.example.com" }));
    expect(statuses(answers)).toEqual([401, 429]);
    expect(answers.map(({ headers }) => headers.get("access-control-allow-origin"))).toEqual(["*", "*"]);
  });

  test("pays for each operation of a bulk, or for none of those that are too many", async () => {
    const { api } = await startGateway({ RATE_LIMIT_DEFAULT: { points: 150, duration: 60 } });
    const bulk = (count: number) =>
      api.as(ada.token).post("/tasks/bulk", {
        operations: Array.from({ length: count }, (_, at) => ({ op: "create", title: `Task ${at}` })),
      });
    const left = ({ headers }: Answer) =>
      Number(/^"default";r=(\d+);/.exec(headers.get("ratelimit") ?? "")?.[1]);
    const first = await bulk(100);
    expect([first.status, left(first)]).toEqual([200, 50]);
    const second = await bulk(100);
    expect([second.status, left(second)]).toEqual([429, 49]);
    expect(Number(second.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(second.body.detail).toBe(
      "This request counts as 100 requests. You have 49 left of 150 in 60 seconds",
    );
    const third = await bulk(49);
    expect([third.status, left(third)]).toEqual([200, 0]);
    expectRefusal(await bulk(1), "default", 60);
  });

  test("of whoever shows no valid token is their address's", async () => {
    const { api } = await startGateway(small);
    const answers = await times(4, () => api.as(`${ada.token}${newId()}`).get("/auth/me"));
    expect(statuses(answers)).toEqual([401, 401, 401, 429]);
    expectRefusal(await api.get("/auth/me"), "default", 60);
  });

  test("comes back with the next window", async () => {
    const { result, seconds } = await inWindow(
      2,
      async (duration) => {
        const { api } = await startGateway({ RATE_LIMIT_DEFAULT: { points: 1, duration } });
        const ask = () => api.as(ada.token).get("/auth/me");
        return { ask, last: (await times(2, ask))[1] as Answer };
      },
      ({ last }) => last.status === 200,
    );
    expectRefusal(result.last, "default", seconds);
    expect(await until(async () => (await result.ask()).status === 200, 20_000)).toBe(true);
  });

  test("is counted exactly when many come at once", async () => {
    const gateways = [await startGateway(small), await startGateway(small)];
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => gateways[at % 2]!.api.as(ada.token).get("/auth/me")),
    );
    expect([count(answers, 200), count(answers, 429)]).toEqual([3, 17]);
  });

  test("is asked before the body is read", async () => {
    const { api } = await startGateway({ RATE_LIMIT_DEFAULT: { points: 2, duration: 60 } });
    const bad = "{";
    const large = JSON.stringify({ title: "x".repeat(2 * 1024 * 1024) });
    const caller = api.as(ada.token);
    expect((await caller.post("/tasks", bad)).status).toBe(400);
    expect((await caller.post("/tasks", large)).status).toBe(413);
    expectRefusal(await caller.post("/tasks", bad), "default", 60);
    expectRefusal(await caller.post("/tasks", large), "default", 60);
  });

  test("without Redis is each gateway's own", async () => {
    const [first, second] = [
      await startGateway({ ...small, REDIS_URL: "" }),
      await startGateway({ ...small, REDIS_URL: "" }),
    ];
    for (const { api } of [first, second])
      expect(statuses(await times(4, () => api.as(ada.token).get("/auth/me")))).toEqual([200, 200, 200, 429]);
  });
});

describe("X-Forwarded-For", () => {
  const small = { RATE_LIMIT_AUTH: { points: 2, duration: 60 } };
  const refresh = (api: Api, list: string) =>
    api.post("/auth/refresh", { refresh_token: "none" }, forwardedFor(list));

  test("buys nothing where there is no proxy", async () => {
    const { api } = await startGateway(small);
    const answers = [
      await refresh(api, "198.51.100.1"),
      await refresh(api, "198.51.100.2"),
      await refresh(api, "198.51.100.3"),
    ];
    expect(statuses(answers)).toEqual([401, 401, 429]);
  });

  test("counts by its last entry behind one proxy", async () => {
    const { api } = await startGateway({ ...small, TRUST_PROXY: 1 });
    const answers = [
      await refresh(api, "10.0.0.1, 198.51.100.1"),
      await refresh(api, "10.0.0.2, 198.51.100.1"),
      await refresh(api, "10.0.0.3, 198.51.100.1"),
      await refresh(api, "198.51.100.1, 198.51.100.2"),
      await refresh(api, "2001:db8:1:2::1"),
      await refresh(api, "2001:db8:1:2::2"),
      await refresh(api, "2001:db8:1:ff:ffff::3"),
      await refresh(api, "2001:db8:1:100::1"),
    ];
    expect(statuses(answers)).toEqual([401, 401, 429, 401, 401, 401, 429, 401]);
  });

  test("counts networks of IPV6_PREFIX bits as one client each", async () => {
    const { api } = await startGateway({ ...small, TRUST_PROXY: 1, IPV6_PREFIX: 60 });
    const answers = [
      await refresh(api, "2001:db8:2:20::1"),
      await refresh(api, "2001:db8:2:2f::1"),
      await refresh(api, "2001:db8:2:21::1"),
      await refresh(api, "2001:db8:2:30::1"),
    ];
    expect(statuses(answers)).toEqual([401, 401, 429, 401]);
  });
});

describe("failed logins", () => {
  const login = (api: Api, account: string, password: string, headers = {}) =>
    api.post("/auth/login", { login: account, password }, headers);
  const fail = (api: Api, account: string, headers = {}) => login(api, account, "not my password", headers);

  test("five lock the account for that address, and the right password does not open it", async () => {
    const [first, second] = [await startGateway({ TRUST_PROXY: 1 }), await startGateway({ TRUST_PROXY: 1 })];
    const here = forwardedFor("198.51.100.1");
    const answers = [
      ...(await times(3, () => fail(first.api, ada.username, here))),
      ...(await times(2, () => fail(second.api, ada.username.toUpperCase(), here))),
    ];
    expect(statuses(answers)).toEqual([401, 401, 401, 401, 401]);
    for (const { api } of [first, second]) {
      expectRefusal(await fail(api, ada.username, here), "login", 900);
      expectRefusal(await login(api, ada.username, PASSWORD, here), "login", 900);
    }
    expect((await login(first.api, bob.username, PASSWORD, here)).status).toBe(200);
    expect((await login(first.api, ada.username, PASSWORD, forwardedFor("198.51.100.2"))).status).toBe(200);
    // Success elsewhere opens nothing here.
    expectRefusal(await login(first.api, ada.username, PASSWORD, here), "login", 900);
  });

  test("count for the account, by whichever of its names it is tried: five guesses, and no more", async () => {
    const { result } = await inWindow(
      3,
      async (duration) => {
        const { api } = await startGateway({ RATE_LIMIT_LOGIN_FAILURES: { points: 5, duration } });
        const person = await api.person("two-names");
        const wrong = [
          ...(await times(3, () => fail(api, person.username))),
          ...(await times(2, () => fail(api, person.email))),
        ];
        const right = await inTurn([person.username, person.email], (name) => login(api, name, PASSWORD));
        return { api, person, wrong: statuses(wrong), right: statuses(right) };
      },
      ({ right }) => right.includes(200),
    );
    expect([result.wrong, result.right]).toEqual([
      [401, 401, 401, 401, 401],
      [401, 401],
    ]);
    const opened = async () => (await login(result.api, result.person.email, PASSWORD)).status === 200;
    expect(await until(opened, 20_000)).toBe(true);
  });

  test("do not tell that an e-mail address is the user name's: it is answered as anybody's", async () => {
    const { api } = await startGateway();
    const person = await api.person("private");
    const afterFive = async (address: string) => {
      expect(statuses(await times(6, () => fail(api, person.username)))).toContain(429);
      return times(6, () => fail(api, address));
    };
    const told = ({ status, headers, body }: Answer) => ({
      status,
      body: { ...body, request_id: "" },
      names: [...headers.keys()],
    });
    const [own, anothers, nobodys] = [
      await afterFive(person.email),
      await afterFive(bob.email),
      await afterFive("nobody-at-all@example.com"),
    ];
    expect(statuses(own)).toEqual([401, 401, 401, 401, 401, 429]);
    expect(own.map(told)).toEqual(anothers.map(told));
    expect(own.map(told)).toEqual(nobodys.map(told));
  });

  test("and wrong present passwords at a change of it count alike", async () => {
    const { api } = await startGateway();
    const person = await api.person("changes");
    const change = (current_password: string) =>
      api
        .as(person.token)
        .post("/auth/password/change", { current_password, password: "a new and better one" });
    expect(statuses(await times(5, () => change("not my password")))).toEqual([422, 422, 422, 422, 422]);
    expectRefusal(await change(PASSWORD), "login", 900);
  });

  test("an account that does not exist locks alike", async () => {
    const { api } = await startGateway();
    const [unknown, known] = [
      await times(6, () => fail(api, "nobody-at-all")),
      await times(6, () => fail(api, bob.username)),
    ];
    expect(statuses(unknown)).toEqual([401, 401, 401, 401, 401, 429]);
    const told = ({ status, headers, body }: Answer) => ({
      status,
      body: { ...body, request_id: "" },
      policy: headers.get("ratelimit-policy"),
      names: [...headers.keys()],
    });
    expect(unknown.map(told)).toEqual(known.map(told));
  });

  test("a success forgets them", async () => {
    const { api } = await startGateway();
    for (let round = 0; round < 3; round++) {
      expect(statuses(await times(4, () => fail(api, ada.username)))).toEqual([401, 401, 401, 401]);
      expect((await login(api, ada.username, PASSWORD)).status).toBe(200);
    }
  });

  test("what is no login attempt counts for none", async () => {
    const { api } = await startGateway();
    const answers = await times(8, () => api.post("/auth/login", { login: ada.username, pass: "x" }));
    expect(new Set(statuses(answers))).toEqual(new Set([422]));
    expect((await login(api, ada.username, PASSWORD)).status).toBe(200);
  });

  test("many at once get no more guesses than one by one; the right password may come as often as it likes", async () => {
    const { api } = await startGateway();
    const wrong = await Promise.all(Array.from({ length: 12 }, () => fail(api, bob.username)));
    expect([count(wrong, 401), count(wrong, 429)]).toEqual([5, 7]);
    const right = await Promise.all(Array.from({ length: 12 }, () => login(api, ada.username, PASSWORD)));
    expect(count(right, 200)).toBe(12);
  });

  test("a lock ends with its window", async () => {
    const { result, seconds } = await inWindow(
      2,
      async (duration) => {
        const { api } = await startGateway({ RATE_LIMIT_LOGIN_FAILURES: { points: 2, duration } });
        await times(2, () => fail(api, ada.username));
        return { api, answer: await login(api, ada.username, PASSWORD) };
      },
      ({ answer }) => answer.status === 200,
    );
    expectRefusal(result.answer, "login", seconds);
    const opened = async () => (await login(result.api, ada.username, PASSWORD)).status === 200;
    expect(await until(opened, 20_000)).toBe(true);
  });
});

describe("without Redis for a while", () => {
  const AWAY = expect.stringMatching(/^Redis is away, this gateway counts requests by itself: /);
  const BACK = "Redis is back, the gateways count requests together";

  /** Requests one after the other on a few lanes, until told to end. */
  function load(api: Api) {
    const seen: { status: number; took: number; left: number }[] = [];
    let ended = false;
    const lane = async () => {
      while (!ended) {
        const began = calmNow();
        const { status, headers } = await api.get("/auth/me");
        const [, left] = /^"default";r=(\d+);/.exec(headers.get("ratelimit") ?? "") ?? [];
        seen.push({ status, took: calmNow() - began, left: Number(left) });
      }
    };
    const lanes = Promise.all([lane(), lane(), lane()]);
    return { seen, end: () => ((ended = true), lanes) };
  }

  /** Jest fails a test in which a rejection goes unhandled. */
  async function throughOutage(begin: () => Promise<void> | void, end: () => Promise<void> | void) {
    const { api, lines } = await startGateway({ RATE_LIMIT_DEFAULT: { points: 100_000, duration: 60 } });
    const { seen, end: endLoad } = load(api.as(ada.token));
    const more = (requests: number) => {
      const from = seen.length;
      return until(() => seen.length >= from + requests, 30_000);
    };
    expect(await more(20)).toBe(true);
    await begin();
    expect(await until(() => lines.length === 1, 15_000)).toBe(true);
    const sinceAway = seen.length;
    expect(await more(100)).toBe(true);
    // After those that were under way, and the points that the gateway held.
    const whileAway = seen.slice(sinceAway + 3 + 10);
    await end();
    expect(await until(() => lines.length === 2, 15_000)).toBe(true);
    expect(await more(50)).toBe(true);
    await endLoad();
    expect(lines).toEqual([AWAY, BACK]);
    expect(new Set(seen.map(({ status }) => status))).toEqual(new Set([200]));
    // The gateway counts each request by itself: no two are told the same.
    const left = whileAway.map((one) => one.left);
    expect(new Set(left).size).toBe(left.length);
    const slowest = (list: typeof seen) => Math.round(Math.max(...list.map(({ took }) => took)));
    return { slowest: slowest(seen), slowestAway: slowest(whileAway), requests: seen.length };
  }

  test("it dies and comes back under load: no request fails or waits, one line each way", async () => {
    const { slowest } = await throughOutage(
      () => redis.kill(),
      () => redis.restart(),
    );
    expect(slowest).toBeLessThan(3000);
  });

  test("it hangs and goes on: a request waits a moment at first, then no longer", async () => {
    const { slowest, slowestAway } = await throughOutage(
      () => redis.pause(),
      () => redis.resume(),
    );
    // Promptly, also on a machine that is busy: a request that waited for Redis would wait for ever.
    expect(slowest).toBeLessThan(3000);
    expect(slowestAway).toBeLessThan(3000);
  });

  test("it takes no writes: that is away, too", async () => {
    const client = new Redis(redis.url);
    try {
      await throughOutage(
        async () => void (await client.config("SET", "maxmemory", "1")),
        async () => void (await client.config("SET", "maxmemory", "0")),
      );
    } finally {
      await client.config("SET", "maxmemory", "0");
      client.disconnect();
    }
  });

  test("each gateway counts by itself, then all together again", async () => {
    const small = { RATE_LIMIT_DEFAULT: { points: 3, duration: 60 } };
    const gateways = [await startGateway(small), await startGateway(small)];
    const ask = (at: number, { token }: Person) => gateways[at]!.api.as(token).get("/auth/me");
    await redis.kill();
    expect(await until(() => gateways.every(({ lines }) => lines.length === 1), 15_000)).toBe(true);
    for (const at of [0, 1])
      expect(statuses(await times(4, () => ask(at, ada)))).toEqual([200, 200, 200, 429]);
    const failures = await times(6, () =>
      gateways[0]!.api.post("/auth/login", { login: bob.username, password: "not my password" }),
    );
    expect(statuses(failures)).toEqual([401, 401, 401, 401, 401, 429]);
    await redis.restart();
    expect(await until(() => gateways.every(({ lines }) => lines.length === 2), 15_000)).toBe(true);
    expect(statuses([await ask(0, bob), await ask(1, bob), await ask(0, bob)])).toEqual([200, 200, 200]);
    expect(statuses([await ask(0, bob), await ask(1, bob)])).toEqual([429, 429]);
  });

  test("a gateway starts without it", async () => {
    await redis.kill();
    const node = await startNode(testConfig(databaseUrl, { RATE_LIMIT: "on", REDIS_URL: redis.url }));
    brokers.push(node);
    const { server } = node.getLocalService("api-gateway") as unknown as { server: Server };
    const api = new Api(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, ada.token);
    const answer = await api.get("/auth/me");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("ratelimit")).toMatch(/^"default";r=299;t=\d+$/);
    await redis.restart();
  });
});

describe("RATE_LIMIT=off", () => {
  test("limits nothing and says nothing", async () => {
    const { api } = await startGateway({
      RATE_LIMIT: "off",
      RATE_LIMIT_DEFAULT: { points: 1, duration: 60 },
    });
    const answers = await times(3, () => api.as(ada.token).get("/auth/me"));
    expect(statuses(answers)).toEqual([200, 200, 200]);
    expect(answers.some(({ headers }) => headers.has("ratelimit") || headers.has("ratelimit-policy"))).toBe(
      false,
    );
  });

  test("is refused in production", () => {
    const env = {
      NODE_ENV: "production",
      DATABASE_URL: "postgres://db/taskwire",
      JWT_SECRET: "a-secret-of-our-own-that-nobody-knows",
    };
    expect(loadConfig(env).RATE_LIMIT).toBe("on");
    expect(() => loadConfig({ ...env, RATE_LIMIT: "off" })).toThrow(ConfigError);
    expect(() => loadConfig({ ...env, RATE_LIMIT: "off" })).toThrow(/^RATE_LIMIT: /);
  });
});

test("limits are read as count/seconds, and anything else is refused", () => {
  expect(loadConfig({ RATE_LIMIT_DEFAULT: "1200/30" }).RATE_LIMIT_DEFAULT).toEqual({
    points: 1200,
    duration: 30,
  });
  for (const value of ["300", "0/60", "300/0", "300/60s", "-1/60", "1.5/60", "5/86401", "300 / 60"])
    expect(() => loadConfig({ RATE_LIMIT_AUTH: value })).toThrow(/^RATE_LIMIT_AUTH: .*count\/seconds/);
  for (const value of ["-1", "one", "1.5"])
    expect(() => loadConfig({ TRUST_PROXY: value })).toThrow(/^TRUST_PROXY: /);
});
