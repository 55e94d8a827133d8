import { expect, test } from "@jest/globals";
import { natsOptions } from "../../core/nats-options.ts";
import { sentinelOptions } from "../../core/redis-options.ts";
import { originOf } from "../../core/origin.ts";

test.each([
  ["127.0.0.1", "http://127.0.0.1:3000"],
  ["board.example", "http://board.example:3000"],
  ["0.0.0.0", "http://127.0.0.1:3000"],
  ["::", "http://[::1]:3000"],
  ["2001:db8::7", "http://[2001:db8::7]:3000"],
])("a server that listens on %s is visited at %s", (host, url) => {
  expect(originOf(host, 3000)).toBe(url);
});

test.each([
  ["nats://broker", { servers: ["broker"] }],
  ["nats://one:4222,nats://two:4223", { servers: ["one:4222", "two:4223"] }],
  ["tls://me:p%40ss@broker:4222", { servers: ["broker:4222"], user: "me", pass: "p@ss" }],
])("NATS_URL %s is taken apart for NATS' client", (url, options) => {
  expect(natsOptions(url)).toEqual(options);
});

const sentinel = { name: "main", db: 0, failoverDetector: true };
test.each([
  ["redis+sentinel://one/main", { ...sentinel, sentinels: [{ host: "one", port: 26379 }] }],
  [
    "redis+sentinel://me:p%40ss@one:1,[::1]:2/main/3?sentinel_password=hu%2Fsh",
    {
      ...sentinel,
      sentinels: [
        { host: "one", port: 1 },
        { host: "::1", port: 2 },
      ],
      username: "me",
      password: "p@ss",
      db: 3,
      sentinelPassword: "hu/sh",
    },
  ],
  [
    "rediss+sentinel://:hush@one:1/main",
    {
      ...sentinel,
      sentinels: [{ host: "one", port: 1 }],
      password: "hush",
      tls: {},
      sentinelTLS: {},
      enableTLSForSentinelMode: true,
    },
  ],
  ["redis://one:6379/0", null],
  ["redis+sentinel://one", null],
  ["redis+sentinel://one:x/main", null],
  ["redis+sentinel://one,,two/main", null],
  ["redis+sentinel://:%zz@one/main", null],
])("REDIS_URL %s is taken apart for Redis' client", (url, options) => {
  expect(sentinelOptions(url)).toEqual(options);
});
