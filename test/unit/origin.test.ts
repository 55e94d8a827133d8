import { expect, test } from "@jest/globals";
import { natsOptions } from "../../core/nats-options.ts";
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
