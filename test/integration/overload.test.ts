/** A gateway with more requests than it can answer in time, seen by its clients. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { ServiceBroker } from "moleculer";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import { startNode } from "../../node.ts";
import { LoadShedder } from "../../services/api-gateway/load-shedder.ts";
import { Api, PASSWORD, type Person } from "../support/api.ts";
import { freshDatabase } from "../support/database.ts";
import { type Gate, gateTo } from "../support/gate.ts";
import { testConfig } from "../support/node.ts";

/** Requests that a gateway has under way, and the parts of them up to which it takes reads, and strangers. */
const [LIMIT, HELD, FEWER] = [8, 6, 4];
let broker: ServiceBroker;
let gate: Gate;
let url: string;
let ada: Person;
let task: string;

beforeAll(async () => {
  gate = await gateTo(await freshDatabase());
  await gate.open();
  broker = await startNode(testConfig(gate.url));
  const { server } = broker.getLocalService("api-gateway") as unknown as { server: Server };
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  ada = await new Api(url).person("ada");
  task = (await ada.api.must("POST", "/tasks", { title: "Held up" })).id as string;
});
afterAll(async () => {
  gate?.resume();
  await broker?.stop();
  await gate?.close();
});

/** The value of a sample; 0 for none. */
async function metric(sample: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`, { headers: { Connection: "close" } })).text();
  const line = text.split("\n").find((one) => one.startsWith(`${sample} `));
  return Number(line?.slice(sample.length) ?? 0);
}
const says = (sample: string, value: number): Promise<boolean> =>
  until(async () => (await metric(sample)) === value, 5000);

test("a gateway that is behind refuses strangers and reads at once, serves probes, and finishes what it began", async () => {
  const gateway = broker.getLocalService("api-gateway") as unknown as { shedder: LoadShedder };
  gateway.shedder = new LoadShedder(broker.logger, { min: LIMIT, max: LIMIT });
  gate.stall();
  const hold = (count: number) => Array.from({ length: count }, () => ada.api.get(`/tasks/${newId()}`));
  const held = hold(FEWER);
  expect(await says("taskwire_requests_under_way", FEWER)).toBe(true);
  const login = { login: ada.username, password: PASSWORD };
  expect(await new Api(url).post("/auth/login", login)).toMatchObject({ status: 503 });
  // Who has a refresh token is no stranger: this one has sent none, and is told so.
  expect(await new Api(url).post("/auth/refresh", {})).toMatchObject({ status: 422 });
  held.push(...hold(HELD - FEWER));
  expect(await says("taskwire_requests_under_way", HELD)).toBe(true);

  const refused = await ada.api.get(`/tasks/${task}`);
  expect(refused).toMatchObject({ status: 503, body: { type: "/problems/overloaded" } });
  expect(["1", "2", "3"]).toContain(refused.headers.get("retry-after"));
  for (const path of ["/live", "/docs/events"])
    expect((await fetch(`${url}${path}`, { headers: { Connection: "close" } })).status).toBe(200);
  expect(await metric('taskwire_requests_shed_total{kind="read"}')).toBe(1);
  // A user's write is still taken.
  const write = ada.api.patch(`/tasks/${task}`, { title: "Taken" });
  expect(await says("taskwire_requests_under_way", HELD + 1)).toBe(true);

  gate.resume();
  expect((await write).status).toBe(200);
  // They are answered, each with what it asked for: there are no such tasks.
  expect(new Set((await Promise.all(held)).map(({ status }) => status))).toEqual(new Set([404]));
  expect(await ada.api.get(`/tasks/${task}`)).toMatchObject({ status: 200, body: { title: "Taken" } });
});

test("nothing more is done for a client that has left: its password is not compared", async () => {
  const logins = 'taskwire_action_duration_seconds_count{action="auth.login",outcome="done"}';
  const before = await metric(logins);
  gate.stall();
  const controller = new AbortController();
  const begun = fetch(`${url}/auth/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Connection: "close" },
    body: JSON.stringify({ login: ada.username, password: PASSWORD }),
    signal: controller.signal,
  });
  // The gateway asks which account it is.
  expect(await says("taskwire_calls_under_way", 1)).toBe(true);
  controller.abort();
  await expect(begun).rejects.toThrow("aborted");
  expect(await says('taskwire_requests_aborted_total{method="POST",route="/auth/login"}', 1)).toBe(true);
  gate.resume();
  expect(await says("taskwire_calls_under_way", 0)).toBe(true);
  // Logins of one name take turns: this one comes after whatever the other one still did.
  await new Api(url).must("POST", "/auth/login", { login: ada.username, password: PASSWORD });
  expect(await metric(logins)).toBe(before + 1);
});
