import { EventEmitter } from "node:events";
import { expect, test } from "@jest/globals";
import { Crowd } from "../../services/notifier/crowd.ts";

const connection = (readyState = "open") => Object.assign(new EventEmitter(), { readyState }) as never;

test("a connection counts until it ends, and not at all where it ended before it was known whose it is", () => {
  const crowd = new Crowd();
  const conn = connection();
  expect(crowd.enter("ada", conn)).toBe(true);
  expect(crowd.enter("ada", connection("closed"))).toBe(false);
  expect([crowd.open("ada"), crowd.open("bob")]).toEqual([1, 0]);
  (conn as EventEmitter).emit("close");
  expect(crowd.open("ada")).toBe(0);
});

test("a user's requests share one budget, which a refusal does not touch and coming again does not renew", () => {
  const crowd = new Crowd();
  for (let n = 0; n < 200; n++) expect(crowd.spend("ada", 0)).toBe(true);
  for (let n = 0; n < 200; n++) expect(crowd.spend("ada", 0)).toBe(false);
  expect(crowd.spend("bob", 0)).toBe(true);
  crowd.prune(0);
  expect(crowd.spend("ada", 0)).toBe(false);
  expect(crowd.spend("ada", 20)).toBe(true);
});

test("many streams are paid for afterwards", () => {
  const crowd = new Crowd();
  for (let n = 0; n < 5; n++) crowd.charge("ada", 5000, 0);
  expect(crowd.spend("ada", 500)).toBe(false);
  expect(crowd.spend("ada", 2000)).toBe(true);
});
