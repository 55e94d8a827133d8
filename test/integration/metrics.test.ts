import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { freePort } from "../../local/ports.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

let node: TestNode;
let metrics: string;

beforeAll(async () => {
  const OPS_PORT = await freePort();
  node = await startTestNode({ OPS_PORT, RATE_LIMIT: "on", RATE_LIMIT_DEFAULT: { points: 2, duration: 60 } });
  metrics = `http://127.0.0.1:${OPS_PORT}/metrics`;
});
afterAll(() => node?.stop());

test("OPS_PORT serves Prometheus metrics, with what the rate limits refused and whether they count alone", async () => {
  for (const status of [401, 401, 429]) expect((await node.api.get("/tasks")).status).toBe(status);
  const text = await (await fetch(metrics, { headers: { Connection: "close" } })).text();
  expect(text).toMatch(/^rate_limit_refused\{[^}]*budget="default"[^}]*\} 1\b/m);
  expect(text).toMatch(/^rate_limit_fallback\{.*\} 0\b/m);
  expect(text).toMatch(/^moleculer_request_total/m);
});
