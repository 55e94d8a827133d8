/** What the client makes of the answers to `POST /sync`, where no socket opens: the frames of a socket. */
import { afterEach, expect, test } from "@jest/globals";
import { Http } from "../../client/src/http.ts";
import type { End } from "../../client/src/link.ts";
import { SyncLink } from "../../client/src/sync-link.ts";
import { CODES } from "../../client/src/types.ts";
import { until } from "../../local/until.ts";

interface Asked {
  cursors: Record<string, string>;
  wait: number;
}
interface Told {
  events?: object[];
  cursors: Record<string, string>;
  gained?: string[];
  lost?: string[];
  reset?: string[];
  more?: boolean;
}

/** A server that answers one request after another, when the test says what. */
class Server {
  readonly asked: Asked[] = [];
  readonly #answers: (Told | number)[] = [];

  fetch = async (request: Request): Promise<Response> => {
    const at = this.asked.push((await request.json()) as Asked) - 1;
    await until(() => this.#answers.length > at || request.signal.aborted, 5000);
    request.signal.throwIfAborted();
    const answer = this.#answers[at] as Told | number;
    if (typeof answer === "number") return Response.json({}, { status: answer });
    return Response.json({ events: [], gained: [], lost: [], reset: [], more: false, ...answer });
  };

  /** The answer to the next request; a number is a status. */
  says(answer: Told | number): void {
    this.#answers.push(answer);
  }
}

const links: SyncLink[] = [];
afterEach(() => {
  for (const link of links.splice(0)) link.close({ code: CODES.closed });
});

const event = (stream: string, seq: number) => ({ stream, seq, id: `${stream}${seq}`, type: "task_created" });

function connect(server: Server, cursors: Record<string, { seq: number; id: string }>, streams?: string[]) {
  const frames: unknown[] = [];
  const ends: End[] = [];
  const http = new Http({
    url: "http://server",
    attempts: 1,
    timeout: 5000,
    fetch: server.fetch,
    cookie: false,
  });
  const link = new SyncLink(
    http,
    { token: "", cursors, ...(streams && { streams }) },
    {
      opened: () => frames.push("opened"),
      received: (name, payload) =>
        frames.push(name === "task_created" ? (payload as { id: string }).id : [name, payload]),
      ended: (end) => ends.push(end),
    },
  );
  links.push(link);
  return { link, frames, ends };
}

const ready = (streams: Record<string, [number, string | null, boolean]>) => [
  "ready",
  {
    streams: Object.fromEntries(
      Object.entries(streams).map(([name, [seq, id, recovered]]) => [name, { seq, id, recovered }]),
    ),
  },
];

test("ready comes when all is told; what a stream without a cursor told before is part of its state", async () => {
  const server = new Server();
  const { frames } = connect(server, { a: { seq: 1, id: "a1" } });
  server.says({
    events: [event("a", 2)],
    cursors: { a: "2-a2", b: "7-b7", c: "0" },
    gained: ["b", "c"],
    more: true,
  });
  server.says({ events: [event("a", 3), event("b", 8)], cursors: { a: "3-a3", b: "8-b8", c: "0" } });
  server.says({ events: [event("b", 9)], cursors: { a: "3-a3", b: "9-b9", c: "0" } });
  expect(await until(() => frames.length === 5, 5000)).toBe(true);
  expect(frames).toEqual([
    "opened",
    "a2",
    "a3",
    ready({ a: [3, "a3", true], b: [8, "b8", false], c: [0, null, false] }),
    "b9",
  ]);
  // The first request waits for nothing, nor does one where more is there.
  expect(server.asked.slice(0, 3).map(({ wait }) => wait)).toEqual([0, 0, 2]);
  expect(server.asked[0]?.cursors).toEqual({ a: "1-a1" });
});

test("only wanted streams are told; one that is subscribed to begins where the server says that it is", async () => {
  const server = new Server();
  const { link, frames } = connect(server, {}, ["a"]);
  server.says({ cursors: { a: "4-a4", b: "1-b1" }, reset: ["a"], gained: ["b"] });
  expect(await until(() => server.asked.length === 2, 5000)).toBe(true);
  expect(await link.ask("subscribe", { stream: "b" })).toMatchObject({ problem: { status: 409 } });
  // The request that waits is given up for one that asks for the stream too.
  expect(await until(() => server.asked.length === 3, 5000)).toBe(true);
  const { a, b } = server.asked[2]?.cursors as Record<string, string>;
  expect([a, Number(b)]).toEqual(["4-a4", Number.MAX_SAFE_INTEGER]);
  server.says({ cursors: {} });
  server.says({ cursors: { a: "4-a4", b: "1-b1" }, reset: ["b"] });
  server.says({ events: [event("b", 2)], cursors: { a: "4-a4", b: "2-b2" }, lost: ["a", "other"] });
  expect(await until(() => frames.length === 5, 5000)).toBe(true);
  expect(frames.slice(1)).toEqual([
    ready({ a: [4, "a4", false] }),
    ready({ b: [1, "b1", false] }),
    "b2",
    ["stream_closed", { stream: "a", problem: expect.objectContaining({ status: 404 }) }],
  ]);
});

test("a refusal ends it: before the first answer the server is not reached, after it the connection is lost", async () => {
  for (const [isOpen, status, end] of [
    [false, 503, { next: "reconnect", code: CODES.unreachable }],
    [true, 503, { next: "reconnect", code: CODES.lost }],
    [true, 401, { next: "login", code: CODES.login }],
  ] as const) {
    const server = new Server();
    const { ends } = connect(server, {});
    if (isOpen) server.says({ cursors: {} });
    server.says(status);
    expect(await until(() => ends.length > 0, 5000)).toBe(true);
    expect(ends).toEqual([{ ...end, problem: expect.objectContaining({ status }) }]);
  }
});
