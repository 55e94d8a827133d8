import { describe, expect, test } from "@jest/globals";
import { clientAddress, normalizeAddress } from "../../core/client-address.ts";

describe("one client has one name", () => {
  test.each([
    ["203.0.113.7", "203.0.113.7"],
    [" 203.0.113.7 ", "203.0.113.7"],
    ["203.0.113.7:4711", "203.0.113.7"],
    ["::ffff:203.0.113.7", "203.0.113.7"],
    ["::FFFF:cb00:7107", "203.0.113.7"],
    ["0:0:0:0:0:ffff:203.0.113.7", "203.0.113.7"],
    ["[::ffff:203.0.113.7]:4711", "203.0.113.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002::1", "2001:db8:1:2::/64"],
    ["[2001:db8:1:2::ffff]:443", "2001:db8:1:2::/64"],
    ["[2001:db8:1:2::ffff]", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8:0:1::", "2001:db8:0:1::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::ffff:0:0:1", "0:0:0:0::/64"],
  ])("%s is %s", (text, name) => {
    expect(normalizeAddress(text, 64)).toBe(name);
  });

  test.each([
    "",
    "unknown",
    "_hidden",
    "203.0.113",
    "203.0.113.256",
    "203.0.113.7:x",
    "[203.0.113.7",
    "1::2::3",
    "a b",
  ])("%j is no address", (text) => {
    expect(normalizeAddress(text, 64)).toBeNull();
  });
});

test.each<[prefix: number, name: string]>([
  [32, "2001:db8::/32"],
  [33, "2001:db8:8000::/33"],
  [48, "2001:db8:ffff::/48"],
  [52, "2001:db8:ffff:a000::/52"],
  [56, "2001:db8:ffff:ab00::/56"],
  [60, "2001:db8:ffff:abc0::/60"],
  [64, "2001:db8:ffff:abcd::/64"],
  [127, "2001:db8:ffff:abcd:1:2:3:fffe/127"],
  [128, "2001:db8:ffff:abcd:1:2:3:ffff/128"],
])("with a prefix of %i bits a client is %s", (prefix, name) => {
  expect(normalizeAddress("2001:db8:ffff:abcd:1:2:3:ffff", prefix)).toBe(name);
  expect(normalizeAddress("::ffff:203.0.113.7", prefix)).toBe("203.0.113.7");
});

describe("the client's address", () => {
  const PEER = "192.0.2.1";
  const from = (forwarded: string | undefined, hops: number, remoteAddress: string | undefined = PEER) =>
    clientAddress(
      { headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded }, socket: { remoteAddress } },
      { TRUST_PROXY: hops, IPV6_PREFIX: 64 },
    );

  test.each<[what: string, forwarded: string | undefined, hops: number, expected: string]>([
    ["without proxies it is the peer", undefined, 0, PEER],
    ["without proxies nobody's header is read", "198.51.100.1", 0, PEER],
    ["one proxy wrote the last entry", "198.51.100.1", 1, "198.51.100.1"],
    [
      "what stands left of it is the client's invention",
      "10.9.9.9, 203.0.113.9, 198.51.100.1",
      1,
      "198.51.100.1",
    ],
    ["two proxies: the last entry but one", "10.9.9.9, 198.51.100.1, 192.0.2.2", 2, "198.51.100.1"],
    ["fewer entries than proxies: the first", "198.51.100.1", 3, "198.51.100.1"],
    ["no header although there is a proxy: the peer", undefined, 1, PEER],
    ["an empty header", "", 1, PEER],
    ["no address in the entry that counts: the next nearer one", "198.51.100.1, unknown", 1, PEER],
    ["and never one further away", "198.51.100.1, unknown, 192.0.2.2", 2, "192.0.2.2"],
    ["spaces and ports do no harm", "x ,  [2001:db8:1:2::3]:99 ", 1, "2001:db8:1:2::/64"],
  ])("%s", (_what, forwarded, hops, expected) => {
    expect(from(forwarded, hops)).toBe(expected);
  });

  test("a peer that hung up has none", () => {
    expect(clientAddress({ headers: {}, socket: {} }, { TRUST_PROXY: 0, IPV6_PREFIX: 56 })).toBe("unknown");
  });
});
