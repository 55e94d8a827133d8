/**
 * A gateway and a node of all other services, as operators run them: what they log at the most talkative level, the spans
 * that they send, and the errors that they report.
 */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import pg from "pg";
import { SMTPServer } from "smtp-server";
import { freePort } from "../../local/ports.ts";
import { startNats } from "../../local/nats.ts";
import { until } from "../../local/until.ts";
import packageJson from "../../package.json" with { type: "json" };
import { Api, type Wire } from "../support/api.ts";
import { startErrorCollector, startSpanCollector, type ZipkinSpan } from "../support/collectors.ts";
import { freshDatabase } from "../support/database.ts";
import { runProgram, type RunningProgram } from "../support/program.ts";
import { TestSocket } from "../support/socket.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const traced = (id: string) => ({ traceparent: `00-${TRACE}-00f067aa0ba902b7-01`, "X-Request-ID": id });
/** Of a trace that its client does not record. */
const UNSAMPLED = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/** What people write and are called, each told apart from everything else in a log. */
const PLANTED = Object.fromEntries(
  [
    "email",
    "username",
    "password",
    "newPassword",
    "wrongPassword",
    "project",
    "projectText",
    "title",
    "description",
    "comment",
    "category",
    "search",
    "token",
    "agent",
    "cookie",
    "refused",
  ].map((field) => [field, `zq${field.toLowerCase()}${Math.random().toString(36).slice(2, 8)}`]),
) as Record<string, string>;
const EMAIL = `${PLANTED.email}@planted.example`;

let spans: Awaited<ReturnType<typeof startSpanCollector>>;
let errors: Awaited<ReturnType<typeof startErrorCollector>>;
let nats: Awaited<ReturnType<typeof startNats>>;
let smtp: SMTPServer;
let db: pg.Client;
let url: string;
let socket: TestSocket | undefined;
const mails: string[] = [];
const nodes: Record<string, RunningProgram> = {};
/** Tokens that the story handed out. */
const tokens: string[] = [];

beforeAll(async () => {
  [spans, errors, nats] = await Promise.all([startSpanCollector(), startErrorCollector(), startNats()]);
  smtp = new SMTPServer({
    disabledCommands: ["AUTH", "STARTTLS"],
    disableReverseLookup: true,
    closeTimeout: 100,
    onData: (stream, { envelope }, done) => {
      mails.push(...envelope.rcptTo.map(({ address }) => address));
      stream.resume().once("end", () => done());
    },
  });
  smtp.on("error", () => {});
  smtp.listen(0, "127.0.0.1");
  await once(smtp.server, "listening");
  const DATABASE_URL = await freshDatabase();
  db = new pg.Client({ connectionString: DATABASE_URL });
  await db.connect();
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const env = {
    NODE_ENV: "test",
    BCRYPT_COST: "4",
    RATE_LIMIT: "off",
    LOG_LEVEL: "trace",
    DATABASE_URL,
    NATS_URL: nats.url,
    NAMESPACE: "tracing",
    JWT_SECRET: "a secret of forty characters, or some more",
    SMTP_URL: `smtp://127.0.0.1:${(smtp.server.address() as AddressInfo).port}`,
    TRACE_URL: `http://${spans.host}/api/v2/spans`,
    TRACE_SAMPLE: "0",
    DATABASE_TIMEOUT: "8000",
    SENTRY_DSN: `http://public@${errors.host}/7`,
    // A fault that no handler sees, whenever the test wants it.
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(
      `process.on("SIGUSR2", () => Promise.reject(new Error("a fault of ${EMAIL}")))`,
    )}`,
  };
  nodes.gateway = runProgram("main.mjs", {
    ...env,
    NODE_ID: "front",
    SERVICES: "api-gateway,notifier",
    PORT: String(port),
  });
  nodes.rest = runProgram("main.mjs", {
    ...env,
    NODE_ID: "rest",
    SERVICES: "auth,users,projects,tasks,mailer,jobs",
  });
  await Promise.all([nodes.gateway.said("running"), nodes.rest.said("running")]);
  await story();
});

afterAll(async () => {
  socket?.close();
  for (const node of Object.values(nodes)) node.signal("SIGTERM");
  await Promise.all(Object.values(nodes).map(({ ended }) => ended));
  await Promise.all([db?.end(), spans?.stop(), errors?.stop(), nats?.stop()]);
  await new Promise<void>((resolve) => smtp.close(resolve));
});

let userId: string;
let taskPath: string;

/** Everything that a person may type goes through the system, and some of it is refused. */
async function story(): Promise<void> {
  const api = new Api(url);
  const { username, password } = PLANTED as { username: string; password: string };
  const nobody = { login: "nobody", password: PLANTED.wrongPassword };
  const isServed = async () => (await api.post("/auth/login", nobody)).status === 401;
  if (!(await until(isServed, 20_000))) throw new Error(`nobody is served:\n${nodes.rest?.output()}`);
  const registered = await api.request(
    "POST",
    "/auth/register",
    { email: EMAIL, username, password },
    traced("a-registration"),
  );
  userId = (registered.body as Wire).id as string;
  await api.post("/auth/login", { login: username, password: PLANTED.wrongPassword });
  const login = await api.request(
    "POST",
    "/auth/login",
    { login: EMAIL, password },
    {
      "User-Agent": PLANTED.agent as string,
      Cookie: `theme=${PLANTED.cookie}`,
    },
  );
  const me = api.as((login.body as Wire).access_token as string);
  const extraHeaders = traced("a-handshake");
  socket = await TestSocket.connect(url, { token: (login.body as Wire).access_token }, { extraHeaders });
  expect(await socket.ask("unsubscribe", { stream: `user:${userId}` })).toMatchObject({
    stream: `user:${userId}`,
  });
  await socket.ask("subscribe", { stream: `user:${userId}` });
  await TestSocket.refused(url, { token: `${PLANTED.refused}.x.y` });
  const pat = await me.must("POST", "/auth/tokens", { name: PLANTED.token, scope: "write" });
  tokens.push((login.body as Wire).access_token, (login.body as Wire).refresh_token, pat.token as string);
  const project = await me.must("POST", "/projects", {
    name: PLANTED.project,
    description: PLANTED.projectText,
  });
  const task = await me.request(
    "POST",
    `/projects/${project.id as string}/tasks`,
    { title: PLANTED.title, description: PLANTED.description },
    traced("a-creation"),
  );
  taskPath = `/tasks/${(task.body as Wire).id as string}`;
  await api.as(pat.token as string).must("POST", `${taskPath}/comments`, { body: PLANTED.comment });
  await me.must("POST", "/categories", { name: PLANTED.category, color: "#aabbcc" });
  await me.must("GET", `/tasks?q=${PLANTED.search}`);
  await me.request("PATCH", taskPath, { title: "", wrong: PLANTED.refused });
  await me.request("PATCH", taskPath, `{"title": "${PLANTED.refused}`);
  await me.get(`/tasks/${PLANTED.refused}`, { traceparent: UNSAMPLED });
  await api.as(`${PLANTED.refused}.x.y`).get("/auth/me");
  const passwords = { current_password: password, password: PLANTED.newPassword };
  await me.must("POST", "/auth/password/change", passwords);
  await api.post("/auth/password/forgot", { email: EMAIL });
  await breakJob();
}

/** Lets a job fail by a fault that names a person, and makes it due. */
async function breakJob(): Promise<void> {
  await db.query(
    `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no keys of ${EMAIL}'; END $$;
     CREATE TRIGGER fail BEFORE DELETE ON idempotency.keys EXECUTE FUNCTION fail()`,
  );
  const send = () =>
    db.query("INSERT INTO jobs.job (name) SELECT name FROM jobs.queue WHERE name = 'forget-answers'");
  expect(await until(async () => (await send()).rowCount === 1, 10_000)).toBe(true);
}

interface Line extends Record<string, unknown> {
  level: string;
  msg: string;
  request_id?: string;
  trace_id?: string;
}

/** The lines of a node's log. What is no JSON is what the program says to people. */
const linesOf = (node: RunningProgram): Line[] =>
  node
    .output()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Line);
const requestLine = (id: string) =>
  linesOf(nodes.gateway as RunningProgram).find(
    ({ msg, request_id }) => msg === "request" && request_id === id,
  );

test("a request is one line at the gateway, with its ids, its route, its user and its time", async () => {
  expect(await until(() => requestLine("a-creation") !== undefined, 5000)).toBe(true);
  expect(requestLine("a-creation")).toMatchObject({
    level: "info",
    svc: "api-gateway",
    trace_id: TRACE,
    user_id: userId,
    method: "POST",
    route: "/projects/:project/tasks",
    status: 201,
    ms: expect.any(Number),
  });
  const lines = linesOf(nodes.gateway as RunningProgram).filter(({ msg }) => msg === "request");
  const ids = lines.map(({ request_id }) => request_id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { trace_id } of lines) expect(trace_id).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
});

test("a socket is a line for its handshake, for each of its requests and for its end, with ids and user", async () => {
  const gateway = nodes.gateway as RunningProgram;
  const said = (what: string) =>
    linesOf(gateway).filter(({ msg, svc }) => msg === what && svc === "notifier");
  const admitted = said("socket handshake").find(({ outcome }) => outcome === "admitted");
  const ids = { request_id: "a-handshake", trace_id: TRACE, user_id: userId, socket: socket?.socket.id };
  const measured = { transport: "websocket", ms: expect.any(Number) };
  expect(admitted).toMatchObject({ level: "info", ...ids, ...measured });
  expect(said("socket handshake").find(({ outcome }) => outcome === "refused")).toMatchObject({
    level: "info",
    problem: "invalid-token",
    ...measured,
  });
  const requests = said("socket request");
  expect(requests.map(({ request }) => request)).toEqual(["unsubscribe", "subscribe"]);
  expect(requests[0]).toMatchObject({ level: "debug", user_id: userId, ms: expect.any(Number) });
  expect(new Set(requests.map(({ request_id }) => request_id)).size).toBe(2);
  const span = () => spans.spans.find(({ name }) => name === "socket handshake");
  expect(await until(() => span() !== undefined, 5000)).toBe(true);
  expect(span()).toMatchObject({ traceId: TRACE, localEndpoint: { serviceName: "notifier" } });
  const other = await TestSocket.connect(
    url,
    { token: tokens[0] },
    { extraHeaders: { "X-Request-ID": "short" } },
  );
  other.close();
  const end = () => said("socket end").find(({ request_id }) => request_id === "short");
  expect(await until(() => end() !== undefined, 5000)).toBe(true);
  expect(end()).toMatchObject({ level: "info", user_id: userId, seconds: expect.any(Number) });
  expect(end()?.reason).toBe("client namespace disconnect");
});

test("the same ids are in the lines of the other node: of the services that the request asks, and of its mail", async () => {
  const ofRequest = (id: string, what: RegExp) => () =>
    linesOf(nodes.rest as RunningProgram).some(
      ({ msg, request_id, trace_id }) => what.test(msg) && request_id === id && trace_id === TRACE,
    );
  expect(await until(ofRequest("a-registration", /^mail \S+ was sent$/), 10_000)).toBe(true);
  expect(mails).toContain(EMAIL);
});

test("the log of the whole story, at its most talkative level, has no secret and nothing that people wrote", () => {
  const log = Object.values(nodes)
    .map((node) => node.output())
    .join("\n");
  const words = [...Object.values(PLANTED), ...tokens];
  expect(words.length).toBeGreaterThan(15);
  for (const word of words) expect(word.length).toBeGreaterThan(8);
  expect(words.filter((word) => log.includes(word))).toEqual([]);
  // It was talkative.
  expect(log).toMatch(/"level":"(debug|trace)"/);
  // Nor do the spans have any of it.
  const sent = JSON.stringify(spans.spans);
  expect(words.filter((word) => sent.includes(word))).toEqual([]);
});

test("the spans of a creation lead from its HTTP request over both nodes to the sockets, as one tree", async () => {
  const ofCreation = (): ZipkinSpan[] => {
    const root = spans.spans.find(({ tags }) => tags["taskwire.request_id"] === "a-creation");
    const found = root === undefined ? [] : [root];
    // Parents come before their children.
    for (const parent of found) found.push(...spans.spans.filter(({ parentId }) => parentId === parent.id));
    return found;
  };
  const named = (name: string) => ofCreation().find((span) => span.name === name);
  expect(await until(() => named("deliver") !== undefined, 10_000)).toBe(true);
  const [root] = ofCreation();
  expect(root).toMatchObject({
    traceId: TRACE,
    parentId: "00f067aa0ba902b7",
    kind: "SERVER",
    name: "POST /projects/:project/tasks",
    localEndpoint: { serviceName: "api-gateway" },
    tags: { "http.response.status_code": "201" },
  });
  const hops = ["tasks.create_in_project", "publish events.committed", "receive events.committed", "deliver"];
  const path = hops.map((hop) => named(hop) as ZipkinSpan);
  expect(path.map(({ localEndpoint }) => localEndpoint.serviceName)).toEqual([
    "tasks",
    "tasks",
    "notifier",
    "notifier",
  ]);
  for (const [at, span] of path.entries())
    expect(span.parentId).toBe((path[at - 1] ?? (root as ZipkinSpan)).id);
  expect(path[3]?.tags).toMatchObject({ sockets: "1", events: "1" });
  // The statement that writes goes by its name, without its values.
  const statements = ofCreation().filter(({ tags }) => tags["db.system.name"] === "postgresql");
  expect(statements.map(({ name }) => name)).toContainEqual(expect.stringMatching(/^tasks-/));
  for (const { traceId, duration } of ofCreation()) {
    expect(traceId).toBe(TRACE);
    expect(duration).toBeGreaterThanOrEqual(0);
  }
});

test("a mail that waited in the queue belongs to the trace of its request", async () => {
  const sent = () => spans.spans.find(({ name, traceId }) => name === "send mail" && traceId === TRACE);
  expect(await until(() => sent() !== undefined, 10_000)).toBe(true);
  const queued = spans.spans.find(({ id }) => id === sent()?.parentId);
  expect(queued).toMatchObject({ name: "queue mail", localEndpoint: { serviceName: "mailer" } });
});

test("with TRACE_SAMPLE=0 only the requests are sent whose traceparent asks for it", () => {
  expect(new Set(spans.spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
});

test("an internal error is logged and reported once, with its ids and without what people wrote", async () => {
  await db.query("ALTER TABLE tasks.comments RENAME COLUMN body TO content");
  const login = await new Api(url).must("POST", "/auth/login", {
    login: PLANTED.username,
    password: PLANTED.newPassword,
  });
  const me = new Api(url).as(login.access_token as string);
  const answer = await me.request(
    "POST",
    `${taskPath}/comments`,
    { body: PLANTED.comment },
    traced("a-fault"),
  );
  expect(answer.status).toBe(500);
  const reports = () => errors.events.filter(({ tags }) => tags.service === "api-gateway");
  expect(await until(() => reports().length > 0 && requestLine("a-fault") !== undefined, 10_000)).toBe(true);
  expect(requestLine("a-fault")).toMatchObject({ level: "error", status: 500 });
  expect(reports()).toHaveLength(1);
  const [event] = reports();
  expect(event).toMatchObject({
    release: `taskwire@${packageJson.version}`,
    environment: "test",
    tags: { service: "api-gateway", action: "tasks.create_comment", request_id: "a-fault", trace_id: TRACE },
  });
  const fault = event?.exception.values.at(-1);
  expect(fault?.value).toMatch(/column .*body.* does not exist/);
  expect(fault?.stacktrace.frames.length).toBeGreaterThan(0);
  const words = [...Object.values(PLANTED), ...tokens, userId, "Mozilla", "Authorization", "127.0.0.1"];
  expect(words.filter((word) => errors.raw.join("\n").includes(word))).toEqual([]);
});

test("a job that fails by a fault is logged and reported under the id of its run, without what people wrote", async () => {
  const report = () => errors.events.find(({ tags }) => tags.service === "jobs");
  expect(await until(() => report() !== undefined, 15_000)).toBe(true);
  const { tags, exception } = report() as NonNullable<ReturnType<typeof report>>;
  expect(exception.values.at(-1)?.value).toBe("no keys of [redacted]");
  const { rows } = await db.query("SELECT id FROM jobs.job WHERE name = 'forget-answers'");
  expect(rows.map(({ id }) => id as string)).toContain(tags.request_id);
  expect(linesOf(nodes.rest as RunningProgram)).toContainEqual(
    expect.objectContaining({
      level: "error",
      svc: "jobs",
      msg: "job forget-answers failed",
      request_id: tags.request_id,
      trace_id: tags.trace_id,
    }),
  );
  expect(errors.raw.join("\n")).not.toContain(PLANTED.email);
});

test("a fault that ends a process is logged and reported before the process is gone", async () => {
  const rest = nodes.rest as RunningProgram;
  rest.signal("SIGUSR2");
  const { code } = await rest.ended;
  expect(code).toBe(1);
  expect(linesOf(rest)).toContainEqual(
    expect.objectContaining({ level: "fatal", msg: "this process ends after a fault" }),
  );
  const faults = errors.events.map(({ exception }) => exception.values.at(-1)?.value);
  expect(faults).toContain("a fault of [redacted]");
  expect(rest.output()).not.toContain(EMAIL);
});
