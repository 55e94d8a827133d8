import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { freePort } from "../../local/ports.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

let node: TestNode;
let metrics: string;

const METRICS_TOKEN = "a token of 32 bytes for Prometheus".replaceAll(" ", "-");
const ask = (path = "", token: string | null = METRICS_TOKEN, method = "GET") =>
  fetch(`${metrics}${path}`, {
    method,
    headers: { Connection: "close", ...(token !== null && { Authorization: `Bearer ${token}` }) },
  });

beforeAll(async () => {
  const OPS_PORT = await freePort();
  node = await startTestNode({
    OPS_PORT,
    METRICS_TOKEN,
    RATE_LIMIT: "on",
    RATE_LIMIT_DEFAULT: { points: 2, duration: 60 },
  });
  metrics = `http://127.0.0.1:${OPS_PORT}/metrics`;
});
afterAll(() => node?.stop());

test("OPS_PORT serves Prometheus metrics, with what the rate limits refused and whether they count alone", async () => {
  for (const status of [401, 401, 429]) expect((await node.api.get("/tasks")).status).toBe(status);
  const text = await (await ask()).text();
  expect(text).toMatch(/^rate_limit_refused\{[^}]*budget="default"[^}]*\} 1\b/m);
  expect(text).toMatch(/^rate_limit_fallback\{.*\} 0\b/m);
  expect(text).toMatch(/^moleculer_request_total/m);
});

test.each<[string, string | null, RegExp]>([
  ["no token", null, /^Bearer realm="taskwire metrics"$/],
  ["another token", `${METRICS_TOKEN}x`, /error="invalid_token"$/],
  ["a part of it", METRICS_TOKEN.slice(0, -1), /error="invalid_token"$/],
])("%s reads no metrics", async (_what, token, challenge) => {
  for (const method of ["GET", "HEAD"]) {
    const answer = await ask("", token, method);
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toMatch(challenge);
    expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    const text = await answer.text();
    expect(text).not.toMatch(/moleculer|rate_limit/);
    expect(text).not.toContain(METRICS_TOKEN);
    if (method === "GET")
      expect(JSON.parse(text)).toMatchObject({ status: 401, request_id: answer.headers.get("x-request-id") });
  }
});

test("OPS_PORT takes GET and HEAD of /metrics, with a slash or a query, and knows nothing else", async () => {
  for (const path of ["", "/", "?x=1"]) {
    const [get, head] = [await ask(path), await ask(path, METRICS_TOKEN, "HEAD")];
    expect([get.status, head.status, await head.text()]).toEqual([200, 200, ""]);
    expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
    expect(await get.text()).toMatch(/^moleculer_request_total/m);
  }
  const post = await ask("", METRICS_TOKEN, "POST");
  expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  for (const path of ["x", "/x", "/../tasks"]) expect((await ask(path)).status).toBe(404);
});
