import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { createTokens } from "../../core/tokens.ts";
import { newId } from "../../core/ids.ts";
import type { Queryable, Statement } from "../../mixins/database.ts";
import { forgetOldEvents } from "../../mixins/event-log.erasure.ts";
import { PASSWORD, type Person, type Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { INVENTED } from "../support/frames.ts";
import { TestSocket } from "../support/socket.ts";

let node: TestNode;
let sql: pg.Client;
let ada: Person;
let ben: Person;
let eve: Person;
const sockets: TestSocket[] = [];

async function connect(person: Person, auth: object = {}, options: object = {}): Promise<TestSocket> {
  const socket = await TestSocket.connect(node.url, { token: person.token, ...auth }, options);
  sockets.push(socket);
  return socket;
}

/** Ada's project with Ben in it: its stream is at 2. */
async function newProject(role = "member"): Promise<{ id: string; stream: string }> {
  const { id } = await ada.api.must("POST", "/projects", { name: "Launch" });
  await ada.api.must("POST", `/projects/${id}/members`, { user_id: ben.id, role });
  return { id, stream: `project:${id}` };
}

const createTask = (project: string, title = "Write it") =>
  ada.api.must("POST", `/projects/${project}/tasks`, { title });
/** Writes one more event of a person's own, and waits until all of them have it: whatever else was sent came before. */
async function settle(person: Person, ...clients: TestSocket[]): Promise<void> {
  const { id } = await person.api.must("POST", "/tasks", { title: "The last one" });
  const isLast = ({ data }: { data: object }) => (data as { task?: { id: string } }).task?.id === id;
  for (const client of clients)
    await client.waitFor(() => client.events.some(isLast), "the last event that was written");
  for (const { events } of clients) events.splice(events.findIndex(isLast), 1);
}
const shape = (socket: TestSocket, stream: string) => socket.of(stream).map(({ seq, type }) => [seq, type]);
const numbers = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at);

beforeAll(async () => {
  node = await startTestNode();
  sql = new pg.Client({ connectionString: node.config.DATABASE_URL });
  await sql.connect();
  [ada, ben, eve] = await Promise.all([
    node.api.person("ada"),
    node.api.person("ben"),
    node.api.person("eve"),
  ]);
});
afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));
afterAll(async () => {
  await sql?.end();
  await node?.stop();
});

describe("connecting", () => {
  test.each([
    ["no token", {}, 401, "unauthenticated"],
    ["a bad token", { token: "x.y.z" }, 401, "invalid-token"],
    ["a stream that is none", { token: "", streams: ["tasks"] }, 422, "validation-failed"],
    ["a cursor that is none", { token: "", cursors: { [`user:${newId()}`]: -1 } }, 422, "validation-failed"],
  ])("is refused with a problem document for %s", async (_, auth, status, code) => {
    const problem = await TestSocket.refused(node.url, {
      ...auth,
      ...("token" in auth && !auth.token && { token: ada.token }),
    });
    expect(problem).toMatchObject({
      type: `/problems/${code}`,
      status,
      title: expect.any(String),
      detail: expect.any(String),
    });
  });

  test("gives the user's own stream and those of all projects they belong to", async () => {
    const { stream } = await newProject();
    const socket = await connect(ben);
    expect(socket.ready[stream]).toMatchObject({ seq: 2, recovered: false });
    expect(socket.ready[`user:${ben.id}`]).toMatchObject({ seq: expect.any(Number), recovered: false });
  });

  test("gives only the streams that are named, and closes those that may not be read", async () => {
    const { stream } = await newProject();
    const socket = await connect(eve, { streams: [`user:${eve.id}`, `user:${ben.id}`, stream] });
    expect(Object.keys(socket.ready)).toEqual([`user:${eve.id}`]);
    expect(socket.closed).toMatchObject([
      { stream: `user:${ben.id}`, problem: { status: 404 } },
      { stream, problem: { status: 404 } },
    ]);
  });

  test("works by polling too", async () => {
    const { id, stream } = await newProject();
    const socket = await connect(ben, {}, { transports: ["polling"] });
    for (const title of ["One", "Two"]) await createTask(id, title);
    await socket.waitFor(() => socket.of(stream).length >= 2);
    expect(shape(socket, stream)).toEqual([
      [3, "task_created"],
      [4, "task_created"],
    ]);
    expect(socket.socket.io.engine.transport.name).toBe("polling");
  });
});

describe("an event", () => {
  test("is the same in the frame and in the log, and names who did it in which request", async () => {
    const { id, stream } = await newProject();
    const socket = await connect(ben);
    const answer = await ada.api.post(
      `/projects/${id}/tasks`,
      { title: "Write it" },
      { "X-Request-ID": "my-request" },
    );
    await socket.waitFor(() => socket.of(stream).length === 1);
    const [frame] = socket.of(stream);
    expect(frame).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      stream,
      seq: 3,
      type: "task_created",
      time: answer.body.created_at,
      actor_id: ada.id,
      request_id: "my-request",
      data: { task: answer.body },
    });
    const { rows } = await sql.query(
      "SELECT id, type, actor_id, request_id, data FROM events.log WHERE stream = $1 AND seq = 3",
      [stream],
    );
    const { id: eventId, type, actor_id, request_id, data } = frame!;
    expect(rows).toEqual([{ id: eventId, type, actor_id, request_id, data }]);
  });

  test("carries the traceparent of its request, live, in a replay and in the log; others have none", async () => {
    const { id, stream } = await newProject();
    const [live, traced] = [await connect(ben), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"];
    for (const headers of [{ traceparent: traced }, { traceparent: "nonsense" }])
      await ada.api.post(`/projects/${id}/tasks`, { title: "Trace it" }, headers);
    await live.waitFor(() => live.of(stream).length === 2);
    const replayed = await connect(ben, { cursors: { [stream]: 2 } });
    const page = await ada.api.must("GET", `/projects/${id}/events?after=2`);
    for (const [event, other] of [live.of(stream), replayed.of(stream), page.items]) {
      expect(event.traceparent).toBe(traced);
      expect(other).not.toHaveProperty("traceparent");
    }
    expect(page.items).toEqual(live.of(stream));
    expect(replayed.of(stream)).toEqual(live.of(stream));
  });

  test("of a personal task reaches its creator and its assignee, on their own streams", async () => {
    const [own, theirs, other] = await Promise.all([connect(ada), connect(ben), connect(eve)]);
    const task = await ada.api.must("POST", "/tasks", { title: "Mine" });
    await ada.api.must("POST", `/tasks/${task.id}/assign`, { assigned_to: ben.id });
    await ada.api.must("PATCH", `/tasks/${task.id}`, { title: "Ours", status: "completed" });
    await own.waitFor(() => own.events.length >= 4);
    await theirs.waitFor(() => theirs.events.length >= 3);
    // Each of the three hears of a task of their own, after whatever else was sent to them.
    for (const [person, client] of [
      [ada, own],
      [ben, theirs],
      [eve, other],
    ] as const)
      await settle(person, client);
    expect(own.events.map(({ type }) => type)).toEqual([
      "task_created",
      "task_assigned",
      "task_completed",
      "task_updated",
    ]);
    expect(theirs.events.map(({ type }) => type)).toEqual([
      "task_assigned",
      "task_completed",
      "task_updated",
    ]);
    expect(other.events).toEqual([]);
  });

  test("does not leave for a write that fails or changes nothing", async () => {
    const { id, stream } = await newProject();
    const socket = await connect(ben);
    const task = await createTask(id);
    await ada.api.patch(`/tasks/${task.id}`, { title: task.title });
    expect((await ada.api.post(`/tasks/${task.id}/transitions`, { to: "archived" })).status).toBe(409);
    await ada.api.must("DELETE", `/tasks/${task.id}`);
    await createTask(id, "The last one");
    await socket.waitFor(() => socket.of(stream).length >= 3);
    expect(shape(socket, stream)).toEqual([
      [3, "task_created"],
      [4, "task_deleted"],
      [5, "task_created"],
    ]);
  });

  test("comes once and in order to everybody though fifty are written at once", async () => {
    const { id, stream } = await newProject();
    const clients = await Promise.all([connect(ada), connect(ben), connect(ben)]);
    await Promise.all(numbers(1, 50).map((at) => createTask(id, `Task ${at}`)));
    await createTask(id, "The last one");
    for (const client of clients) {
      await client.waitFor(() => client.of(stream).some(({ seq }) => seq === 53), "the last one");
      expect(client.of(stream).map(({ seq }) => seq)).toEqual(numbers(3, 53));
    }
  });
});

describe("a hint that was lost", () => {
  test("costs a beat and no event: what another process wrote is read from the log", async () => {
    const { id, stream } = await newProject();
    const socket = await connect(ben);
    await createTask(id);
    // As a tasks node does that dies between its commit and its hint.
    await sql.query(
      `WITH head AS (UPDATE events.streams SET head = head + 1 WHERE name = $1 RETURNING head)
       INSERT INTO events.log SELECT $1, head, $2, 'task_updated', now(), null, '${INVENTED}', '{}' FROM head`,
      [stream, newId()],
    );
    for (const title of ["Another", "The last one"]) await createTask(id, title);
    await socket.waitFor(() => socket.of(stream).some(({ seq }) => seq === 6), "the last one");
    expect(socket.of(stream).map(({ seq }) => seq)).toEqual([3, 4, 5, 6]);
  });
});

describe("resuming", () => {
  test("sends what came after the cursor, then the live events, without hole or repeat while others write", async () => {
    const { id, stream } = await newProject();
    // Not so many at once that a slow machine refuses some.
    for (const turn of numbers(0, 14))
      await Promise.all(numbers(1, 30).map((at) => createTask(id, `Before ${30 * turn + at}`)));
    const writing = Promise.all(numbers(1, 50).map((at) => createTask(id, `Meanwhile ${at}`)));
    const socket = await connect(ben, { cursors: { [stream]: 12 } });
    await writing;
    await createTask(id, "The last one");
    await socket.waitFor(() => socket.of(stream).some(({ seq }) => seq === 503), "the last one");
    expect(socket.of(stream).map(({ seq }) => seq)).toEqual(numbers(13, 503));
    expect(socket.ready[stream]!.recovered).toBe(true);
  });

  test("from the present number recovers nothing, and says so truly", async () => {
    const { id, stream } = await newProject();
    const socket = await connect(ben, { cursors: { [stream]: 2 } });
    expect(socket.ready[stream]).toMatchObject({ seq: 2, recovered: true });
    await createTask(id);
    await socket.waitFor(() => socket.of(stream).length >= 1);
    expect(shape(socket, stream)).toEqual([[3, "task_created"]]);
  });

  test("is refused plainly when the log no longer reaches back, or never reached that far", async () => {
    const { id, stream } = await newProject();
    await createTask(id);
    await sql.query("DELETE FROM events.log WHERE stream = $1 AND seq < 3", [stream]);
    const [behind, ahead] = await Promise.all([
      connect(ben, { cursors: { [stream]: 1 } }),
      connect(ben, { cursors: { [stream]: 99 } }),
    ]);
    for (const socket of [behind, ahead]) {
      expect(socket.ready[stream]).toMatchObject({ seq: 3, recovered: false });
      expect(socket.of(stream)).toEqual([]);
    }
    await createTask(id);
    for (const socket of [behind, ahead]) {
      await socket.waitFor(() => socket.of(stream).length >= 1);
      expect(shape(socket, stream)).toEqual([[4, "task_created"]]);
    }
  });

  test("from before the retention's cut is refused plainly; from the cut on it brings everything", async () => {
    const { id, stream } = await newProject();
    for (const at of numbers(3, 8)) await createTask(id, `Number ${at}`);
    const { rows } = await sql.query("SELECT id FROM events.log WHERE stream = $1 ORDER BY seq", [stream]);
    const at = (seq: number) => ({ seq, id: rows[seq - 1].id as string });
    await sql.query("UPDATE events.log SET time = '2001-01-01' WHERE stream = $1 AND seq < 6", [stream]);
    const db = { query: async ({ text, values }: Statement) => (await sql.query(text, values)).rows };
    while (await forgetOldEvents(db as Queryable, "2002-01-01"));

    const resume = async (cursor: unknown) => {
      const socket = await connect(ben, { cursors: { [stream]: cursor } });
      return [socket.ready[stream], socket.of(stream).map(({ seq }) => seq)];
    };
    const present = at(8);
    const [lost, whole] = [false, true].map((recovered) => ({ ...present, recovered }));
    expect(await resume(at(4))).toEqual([lost, []]);
    expect(await resume(4)).toEqual([lost, []]);
    // Its own event is gone, so nothing says that the log is the same.
    expect(await resume(at(5))).toEqual([lost, []]);
    expect(await resume(5)).toEqual([whole, [6, 7, 8]]);
    expect(await resume(at(6))).toEqual([whole, [7, 8]]);
    expect(await resume(6)).toEqual([whole, [7, 8]]);
    expect(await resume({ ...at(6), id: newId() })).toEqual([lost, []]);
    expect(await resume(at(8))).toEqual([whole, []]);

    const log = await ben.api.must("GET", `/projects/${id}/events?after=2`);
    expect(log.items.map(({ seq }: { seq: number }) => seq)).toEqual([6, 7, 8]);
  });
});

describe("membership", () => {
  test("that is gained brings the project's stream to sockets that follow their user", async () => {
    const { id, stream } = await newProject();
    const [follower, fixed] = await Promise.all([
      connect(eve),
      connect(eve, { streams: [`user:${eve.id}`] }),
    ]);
    await ada.api.must("POST", `/projects/${id}/members`, { user_id: eve.id, role: "viewer" });
    await follower.waitFor(() => stream in follower.ready);
    expect(follower.ready[stream]).toMatchObject({ seq: 3, recovered: false });
    await createTask(id);
    await follower.waitFor(() => follower.of(stream).length === 1);
    await settle(eve, follower, fixed);
    expect(fixed.of(stream)).toEqual([]);
    expect(fixed.of(`user:${eve.id}`).map(({ type }) => type)).toEqual(["member_added"]);
  });

  test("that is lost closes the stream: nothing that is committed after it arrives", async () => {
    const { id, stream } = await newProject();
    const [gone, stays] = await Promise.all([connect(ben), connect(ada)]);
    await createTask(id, "seen");
    await ada.api.must("DELETE", `/projects/${id}/members/${ben.id}`);
    await createTask(id, "secret");
    await stays.waitFor(() => stays.of(stream).length === 3);
    await gone.waitFor(() => gone.closed.length === 1);
    await settle(ben, gone);
    expect(shape(gone, stream)).toEqual([[3, "task_created"]]);
    expect(gone.of(`user:${ben.id}`).at(-1)).toMatchObject({
      type: "member_removed",
      data: { project: { id } },
    });
    expect(await gone.ask("subscribe", { stream })).toMatchObject({ problem: { status: 404 } });
  });

  test("that is lost without an event that this node saw is found by the beat", async () => {
    const { id, stream } = await newProject();
    const socket = await connect(ben);
    await sql.query("DELETE FROM projects.members WHERE project_id = $1 AND user_id = $2", [id, ben.id]);
    await sql.query("UPDATE events.streams SET members_version = members_version + 1 WHERE name = $1", [
      stream,
    ]);
    await socket.waitFor(() => socket.closed.length === 1, "the stream to be closed");
    await createTask(id);
    const fresh = await connect(ada, { cursors: { [stream]: 2 } });
    await fresh.waitFor(() => fresh.of(stream).length === 1);
    await settle(ben, socket);
    expect(socket.of(stream)).toEqual([]);
  });

  test("ends for all with the project, and comes back to those that follow their user when it is restored", async () => {
    const { id, stream } = await newProject();
    const [follower, fixed] = await Promise.all([connect(ben), connect(ben, { streams: [stream] })]);
    await ada.api.must("DELETE", `/projects/${id}`);
    for (const socket of [follower, fixed]) {
      await socket.waitFor(() => socket.closed.length > 0, "the stream to be closed");
      expect(socket.closed).toMatchObject([{ stream, problem: { status: 404 } }]);
      expect(shape(socket, stream)).toEqual([[3, "project_deleted"]]);
    }
    await ada.api.must("POST", `/projects/${id}/restore`);
    await follower.waitFor(() => follower.ready[stream]!.seq === 4, "the stream again");
    await createTask(id);
    await follower.waitFor(() => follower.of(stream).length >= 2);
    expect(shape(follower, stream)).toEqual([
      [3, "project_deleted"],
      [5, "task_created"],
    ]);
    expect(fixed.of(stream)).toHaveLength(1);
  });
});

describe("on an open socket", () => {
  test("subscribe and unsubscribe change the streams, each with an acknowledgement", async () => {
    const { id, stream } = await newProject();
    const socket = await connect(ben, { streams: [`user:${ben.id}`] });
    await createTask(id);
    expect(await socket.ask("subscribe", { stream, cursor: 2 })).toMatchObject({
      stream,
      seq: 3,
      recovered: true,
    });
    expect(shape(socket, stream)).toEqual([[3, "task_created"]]);
    expect(await socket.ask("subscribe", { stream })).toMatchObject({ problem: { status: 409 } });
    expect(await socket.ask("unsubscribe", { stream })).toEqual({ stream });
    await createTask(id);
    expect(await socket.ask("subscribe", { stream })).toMatchObject({ stream, seq: 4, recovered: false });
    expect(shape(socket, stream)).toHaveLength(1);
  });

  test.each([
    ["subscribe", { stream: "nonsense" }, 422],
    ["subscribe", { stream: `project:${newId()}` }, 404],
    ["subscribe", { stream: `user:${newId()}` }, 404],
    ["subscribe", { stream: `user:${newId()}`, cursor: "1" }, 422],
    ["subscribe", null, 422],
    ["unsubscribe", {}, 422],
    ["authenticate", { token: "x.y.z" }, 401],
  ])("%s %j is answered with a problem", async (event, request, status) => {
    const socket = await connect(ben);
    expect(await socket.ask(event, request as object)).toMatchObject({
      problem: { status, type: expect.any(String) },
    });
  });

  test("a request needs neither an argument nor an acknowledgement", async () => {
    const client = await connect(ben);
    expect(await client.socket.timeout(5000).emitWithAck("subscribe")).toMatchObject({
      problem: { status: 422 },
    });
    client.socket.emit("unsubscribe", { stream: `user:${ben.id}` });
    expect(await client.ask("subscribe", { stream: `user:${ben.id}` })).toMatchObject({ recovered: false });
  });

  test("an expired token ends the socket after token_expired; authenticate renews it in time", async () => {
    const { actor } = createTokens(node.config).verify(ben.token);
    const connectFor = async (seconds: number): Promise<[TestSocket, TestSocket]> => {
      const { token } = createTokens({ ...node.config, ACCESS_TOKEN_TTL: seconds }).sign(actor);
      try {
        const pair = await Promise.all([connect({ ...ben, token }), connect({ ...ben, token })]);
        expect(await pair[0].ask("authenticate", { token: eve.token })).toMatchObject({
          problem: { status: 401 },
        });
        expect(await pair[0].ask("authenticate", { token: ben.token })).toEqual({
          expires_at: expect.any(String),
        });
        return pair;
      } catch (error) {
        // On a slow machine the token may end before all that is done.
        if (seconds > 8) throw error;
        return connectFor(2 * seconds);
      }
    };
    const [renewed, ended] = await connectFor(2);
    await ended.waitFor(() => ended.ends.length === 1, "the end");
    expect(ended.dismissed).toMatchObject([{ frame: "token_expired", problem: { status: 401 } }]);
    // The one end that a stock client doesn't answer by connecting again.
    expect(ended.ends).toEqual(["io server disconnect"]);
    expect(renewed.socket.connected).toBe(true);
    expect(renewed.dismissed).toEqual([]);
  });

  test("a token of a session that ended renews nothing", async () => {
    const socket = await connect(ben);
    const other = await node.api.must("POST", "/auth/login", { login: ben.username, password: PASSWORD });
    await node.api.as(other.access_token).must("POST", "/auth/logout");
    expect(await socket.ask("authenticate", { token: other.access_token })).toMatchObject({
      problem: { status: 401, type: "/problems/invalid-token" },
    });
    expect(socket.socket.connected).toBe(true);
  });

  test("requests are answered however many there are, one after the other; who does not wait for answers is cut off", async () => {
    const stream = `project:${newId()}`;
    const [patient, hasty] = [await connect(ben), await connect(ben)];
    for (let n = 0; n < 110; n++) expect(await patient.ask("unsubscribe", { stream })).toEqual({ stream });
    for (let n = 0; n < 150; n++) hasty.socket.emit("subscribe", { stream });
    await hasty.waitFor(() => hasty.ends.length > 0, "being cut off");
    expect(hasty.ends[0]).toMatch(/^transport/);
    expect(patient.ends).toEqual([]);
  });
});

describe("on the way in", () => {
  interface Inside {
    io: { use(middleware: (socket: { data: Wire }, next: () => void) => void): void };
    revocations: { markEnded(sessions: string[]): void };
    streams: { connect(...args: unknown[]): Promise<unknown> };
  }
  const inside = () => node.broker.getLocalService("notifier") as unknown as Inside;

  test("a session that ends is told so, and its socket stays away", async () => {
    const cleo = await node.api.person("cleo");
    // After the token was looked at, and before there is a socket that could be closed.
    inside().io.use(({ data }, next) => {
      if (data.actor.id === cleo.id) inside().revocations.markEnded([data.actor.session]);
      next();
    });
    const socket = new TestSocket(node.url, { token: cleo.token });
    sockets.push(socket);
    await socket.waitFor(() => socket.ends.length > 0, "the end");
    expect([socket.ends, socket.dismissed.map(({ frame }) => frame)]).toEqual([
      ["io server disconnect"],
      ["session_ended"],
    ]);
  });

  test("a client whose streams could not be read is let go, and comes back by itself", async () => {
    const { streams } = inside();
    const original = streams.connect.bind(streams);
    streams.connect = () => {
      streams.connect = original;
      return Promise.reject(new Error("away"));
    };
    const socket = await connect(ben, {}, { reconnection: true, reconnectionDelay: 10 });
    expect(socket.ends).toEqual(["transport close"]);
  });

  test("a connection without its socket is closed", async () => {
    const connection = new WebSocket(`${node.url.replace("http", "ws")}/ws/?EIO=4&transport=websocket`);
    const closed = new Promise<void>((resolve) => (connection.onclose = () => resolve()));
    connection.onopen = () => connection.send(`40${JSON.stringify({ token: ben.token })}`);
    connection.onmessage = ({ data }) => {
      if (String(data).startsWith('42["ready"')) connection.send("41");
    };
    await closed;
  });
});
