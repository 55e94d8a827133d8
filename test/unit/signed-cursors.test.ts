import { expect, test } from "@jest/globals";
import { createCursorSigner, scopeOf } from "../../services/api-gateway/signed-cursors.ts";

const [OLD, NEW] = ["the old secret, of 32 bytes and more", "the new secret, of 32 bytes and more"];
const SCOPE = scopeOf("ada", "/tasks", { status: "pending" });

test("a page goes on through both steps of a rotation, at gateways of either step, and not after it", () => {
  const before = createCursorSigner(OLD);
  const [prepared, rotated, after] = [
    createCursorSigner(OLD, NEW),
    createCursorSigner(NEW, OLD),
    createCursorSigner(NEW),
  ];
  for (const [signer, readers] of [
    [before, [prepared, rotated]],
    [prepared, [before, rotated]],
    [rotated, [prepared, after]],
  ] as const)
    for (const reader of readers) expect(reader.verify(signer.sign("41", SCOPE), SCOPE)).toBe("41");
  expect(() => after.verify(before.sign("41", SCOPE), SCOPE)).toThrow(/cursor/i);
  expect(() => rotated.verify(before.sign("41", SCOPE), scopeOf("ben", "/tasks", {}))).toThrow(/cursor/i);
});
