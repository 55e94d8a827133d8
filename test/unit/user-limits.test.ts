import { EventEmitter } from "node:events";
import { expect, test } from "@jest/globals";
import { UserLimits } from "../../services/notifier/user-limits.ts";

const connection = (readyState = "open") => Object.assign(new EventEmitter(), { readyState }) as never;

test("a connection counts until it ends, and not at all where it ended before it was known whose it is", () => {
  const limits = new UserLimits();
  const conn = connection();
  expect(limits.enter("ada", conn)).toBe(true);
  expect(limits.enter("ada", connection("closed"))).toBe(false);
  expect([limits.openSockets("ada"), limits.openSockets("bob")]).toEqual([1, 0]);
  limits.prune();
  expect(limits.openSockets("ada")).toBe(1);
  (conn as EventEmitter).emit("close");
  expect(limits.openSockets("ada")).toBe(0);
});

test("a user's requests share one budget, which a refusal does not touch and coming again does not renew", () => {
  const limits = new UserLimits();
  for (let n = 0; n < 200; n++) expect(limits.spend("ada", 0)).toBe(true);
  for (let n = 0; n < 200; n++) expect(limits.spend("ada", 0)).toBe(false);
  expect(limits.spend("bob", 0)).toBe(true);
  limits.prune(0);
  expect(limits.spend("ada", 0)).toBe(false);
  expect(limits.spend("ada", 20)).toBe(true);
});

test("many streams are paid for afterwards", () => {
  const limits = new UserLimits();
  for (let n = 0; n < 5; n++) limits.charge("ada", 5000, 0);
  expect(limits.spend("ada", 500)).toBe(false);
  expect(limits.spend("ada", 2000)).toBe(true);
});
