/** New clients of a busy node do not wait for one turn of the event loop each. */
import { afterEach, expect, test } from "@jest/globals";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { listen } from "../../core/listen.ts";
import { until } from "../../local/until.ts";

const CLIENTS = 64;
let server: Server;
afterEach(() => void server?.close());

test("several connections are taken in a turn, each is answered, and all listeners close", async () => {
  server = createServer((_request, response) => response.end("here"));
  await listen(server, 0, "127.0.0.1");
  const { port } = server.address() as AddressInfo;
  let [taken, most] = [0, 0];
  server.on("connection", () => (taken += 1));
  const clients = Array.from({ length: CLIENTS }, () => connect(port, "127.0.0.1").on("error", () => {}));
  const answers = clients.map(async (client) => {
    client.end("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const [bytes] = (await once(client, "data")) as [Buffer];
    return bytes.toString().startsWith("HTTP/1.1 200");
  });
  for (let before = 0; taken < CLIENTS; before = taken) {
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, taken - before);
  }
  expect(most).toBeGreaterThan(process.platform === "linux" ? 3 : 0);
  expect((await Promise.all(answers)).every(Boolean)).toBe(true);

  server.close();
  const isRefused = (): Promise<boolean> =>
    new Promise((resolve) => {
      const client = connect(port, "127.0.0.1", () => resolve(false)).on("error", () => resolve(true));
      client.unref();
    });
  for (let nth = 0; nth < CLIENTS; nth++) expect(await until(isRefused, 5000)).toBe(true);
});
