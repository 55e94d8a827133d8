import { expect, test } from "@jest/globals";
import { PacketSerializer } from "../../core/packets.ts";

const serializer = new PacketSerializer();
/** A packet as the other node gets it. */
const sent = (payload: object, type: string) =>
  serializer.deserialize(serializer.serialize({ ...payload }, type));

test("an answer that is a text arrives as it was, whatever is in it, and is escaped nowhere on its way", () => {
  const $json = '{"title":"a \\"quoted\\"\\nline — ü \u{1F680}"}';
  const packet = { id: "1", success: true, data: { $json, version: 3 } };
  expect(sent(packet, "RES")).toEqual(packet);
  expect(serializer.serialize(packet, "RES").toString().endsWith(`\n${$json}`)).toBe(true);
  const lines = { ...packet, data: { $json: '{\n"pretty": 1\n}' } };
  expect(sent(lines, "RES")).toEqual(lines);
});

test.each([
  ["an object", { title: "line\nline" }],
  ["a list", [1]],
  ["a text", "text"],
  ["nothing", null],
])("an answer that is %s arrives as it was", (_what, data) => {
  expect(sent({ id: "1", success: true, data }, "RES")).toEqual({ id: "1", success: true, data });
});

test("what a caller said does not travel back, and what the callee adds does", () => {
  const meta = {
    actor: { id: "1" },
    conditions: { key: null },
    trace: "t",
    replayed: true,
    $statusCode: 201,
  };
  expect(sent({ id: "1", success: true, data: null, meta }, "RES").meta).toEqual({
    replayed: true,
    $statusCode: 201,
  });
});

test("a request has the fields that say something", () => {
  const empty = { headers: {}, tracing: null, parentID: null, caller: null, stream: false, timeout: null };
  const packet = { id: "1", action: "tasks.get", params: {}, meta: { actor: null }, level: 1 };
  expect(sent({ ...packet, ...empty }, "REQ")).toEqual(packet);
  expect(sent({ ...packet, timeout: 10, caller: "projects.get" }, "REQ")).toEqual({
    ...packet,
    timeout: 10,
    caller: "projects.get",
  });
});
