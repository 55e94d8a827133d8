/** Server-sent events at the bytes of one response: comments, and a client that does not read. */
import { afterEach, expect, test } from "@jest/globals";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Context } from "moleculer";
import type { LoggedEvent } from "../../core/events.ts";
import type { Meta } from "../../core/kit.ts";
import { until } from "../../local/until.ts";
import { eventStream } from "../../services/api-gateway/event-stream.ts";
import type { Gateway } from "../../services/api-gateway/exchange.ts";
import type { Request } from "../../services/api-gateway/gateway-request.ts";
import { EventStreams, type Follow } from "../../services/api-gateway/open-event-streams.ts";

const KIB = 1024;
const READ_WITHIN_MS = 300;
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A server that answers with the event stream whose notifier is `follow`, and a client that has sent its request. */
async function open(follow: Follow): Promise<{ response: ServerResponse; client: Socket }> {
  const gateway = {
    authenticator: { expiryOf: () => null },
    connections: { readWithinMs: READ_WITHIN_MS },
    eventStreams: new EventStreams(true),
    revocations: { has: () => false },
    waitingCalls: { begin: () => true, isClosed: false },
  } as unknown as Gateway;
  const ctx = { meta: { actor: { id: "ada", session: "one" } }, call: () => {} };
  const events = { start: { stream: "user:ada", after: "0" }, follow };
  const responses: ServerResponse[] = [];
  const server = createServer((request, response) => {
    responses.push(response);
    const asked = request as unknown as Request;
    eventStream(gateway, ctx as unknown as Context<unknown, Meta>, asked, response, events).pipe(response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
  ends.push(async () => {
    client.destroy();
    server.close();
    await once(server, "close");
  });
  client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(await until(() => responses.length === 1, 5000)).toBe(true);
  return { response: responses[0] as ServerResponse, client };
}

test("a stream without events is asked for every 15 s, and sends a comment each time", async () => {
  const asked: { wait: number; answer: () => void }[] = [];
  // The notifier answers without events when the wait is over: here, when the test says so.
  const { client } = await open(async (_from, { wait }) => {
    await new Promise<void>((resolve) => asked.push({ wait, answer: resolve }));
    return { events: [], cursor: "7-a", isReset: false };
  });
  let text = "";
  client.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  for (const nth of [1, 2, 3]) {
    expect(await until(() => asked.length === nth, 5000)).toBe(true);
    expect(text.split("\r\n:\n\n").length).toBe(nth);
    asked[nth - 1]?.answer();
    expect(await until(() => text.split("\r\n:\n\n").length === nth + 1, 5000)).toBe(true);
  }
  expect(asked.slice(0, 3).map(({ wait }) => wait)).toEqual([15, 15, 15]);
  client.destroy();
  asked.at(-1)?.answer();
});

test("a client that reads nothing is asked for no more than it takes, and cut off in time", async () => {
  const [events, length] = [10, 100 * KIB];
  let offered = 0;
  // There is always more: a page of a megabyte, at once.
  const { response, client } = await open(() => {
    offered += events * length;
    const event = {
      id: "a",
      stream: "user:ada",
      seq: 8,
      type: "task_created",
      data: { text: "x".repeat(length) },
    };
    const page = Array.from({ length: events }, () => event as unknown as LoggedEvent);
    return Promise.resolve({ events: page, cursor: "8-a", isReset: false });
  });
  client.pause();
  const connection = response.socket as Socket;
  let [waiting, untaken] = [0, 0];
  const closed = await until(() => {
    waiting = Math.max(waiting, response.writableLength, connection.writableLength);
    untaken = Math.max(untaken, offered - (connection.bytesWritten - connection.writableLength));
    return response.closed;
  }, 15_000);
  expect(closed).toBe(true);
  // The operating system took a few megabytes. Beyond them, the server held some events and the rest of one page.
  expect(offered).toBeGreaterThan(events * length);
  expect(waiting).toBeLessThan(4 * length);
  expect(untaken).toBeLessThan(2 * events * length);
  const pages = offered;
  expect(await until(() => offered > pages, 200)).toBe(false);
});
