import { afterEach, expect, test } from "@jest/globals";
import type { Redis } from "ioredis";
import { until } from "../../local/until.ts";
import { connectRedis, RedisOutage } from "../../mixins/redis.ts";

const clients: Redis[] = [];
afterEach(() => clients.splice(0).forEach((client) => client.disconnect()));

function outageOf() {
  const told: unknown[] = [];
  const log = {
    warn: (line: string) => told.push(line),
    info: (line: string) => told.push(line),
  };
  const outage = new RedisOutage(log, {
    away: "nothing is cached",
    back: "answers are cached again",
    onChange: (isAway) => told.push(isAway),
  });
  return { outage, told };
}

test("an outage is one line when it begins and one when it ends", () => {
  const { outage, told } = outageOf();
  outage.ended();
  for (let time = 0; time < 2; time++) {
    outage.began("the connection closed");
    outage.began("ECONNREFUSED");
    outage.ended();
    outage.ended();
  }
  const once = [
    "Redis is away, nothing is cached: the connection closed",
    true,
    "Redis is back, answers are cached again",
    false,
  ];
  expect(told).toEqual([...once, ...once]);
});

test("a client that its owner closes is no outage", () => {
  const { outage, told } = outageOf();
  outage.stop();
  outage.began("the connection closed");
  expect(told).toEqual([]);
});

test("two clients without Redis: their commands fail at once, and their errors are one line", async () => {
  const { outage, told } = outageOf();
  const errors: Error[] = [];
  for (let n = 0; n < 2; n++)
    clients.push(connectRedis("redis://127.0.0.1:1", outage).on("error", (error) => errors.push(error)));
  await expect(clients[0]!.get("key")).rejects.toThrow(/isn't writeable|Connection is closed/);
  expect(await until(() => errors.length > 3, 5000)).toBe(true);
  expect(told).toEqual([expect.stringMatching(/^Redis is away, nothing is cached: .*ECONNREFUSED/), true]);
});
