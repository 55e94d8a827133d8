import { expect, test } from "@jest/globals";
import { MAX_WAITS_OF_USER, Waits } from "../../services/notifier/waits.ts";
import { actorOf, idOf, problem } from "./fixtures.ts";

const forever = new Promise<never>(() => {});

test("a user has so many places, and an end frees one", async () => {
  const waits = new Waits(true);
  const actor = actorOf("user");
  const first = waits.run(actor, "0", (wait) => wait.next(60_000));
  for (let n = 1; n < MAX_WAITS_OF_USER; n++) void waits.run(actor, `${n}`, () => forever);
  await expect(waits.run(actor, "one more", () => forever)).rejects.toEqual(problem("rate-limited"));
  void waits.run(actorOf("user", idOf("2")), "another's", () => forever);
  expect(waits.size).toBe(MAX_WAITS_OF_USER + 1);
  waits.end(["0", "unknown"]);
  await first;
  expect(waits.size).toBe(MAX_WAITS_OF_USER);
  void waits.run(actor, "one more", () => forever);
});

test("without rate limits a user has any number", async () => {
  const waits = new Waits(false);
  for (let n = 0; n <= MAX_WAITS_OF_USER; n++) void waits.run(actorOf("user"), `${n}`, () => forever);
  expect(waits.size).toBe(MAX_WAITS_OF_USER + 1);
});

test("a signal between two waits ends the next one, once", async () => {
  await new Waits(true).run(actorOf("user"), "one", async (wait) => {
    wait.wake();
    await wait.next(60_000);
    const since = performance.now();
    await wait.next(20);
    expect(performance.now() - since).toBeGreaterThan(15);
    expect(wait.isOver).toBe(false);
  });
});

test("the end of a session ends its waits alone, and a node that stops ends all, later ones too", async () => {
  const waits = new Waits(true);
  const actor = actorOf("user");
  const other = { ...actorOf("user", idOf("2")), session: idOf("6") };
  const ended: string[] = [];
  const wait = (who: typeof actor, call: string) =>
    waits.run(who, call, async (one) => {
      await one.next(60_000);
      ended.push(`${call} ${one.isOver}`);
    });
  const [mine, theirs] = [wait(actor, "mine"), wait(other, "theirs")];
  waits.endSessions(new Set([actor.session]));
  await mine;
  expect(ended).toEqual(["mine true"]);
  waits.close();
  await theirs;
  await wait(actor, "late");
  expect(ended).toEqual(["mine true", "theirs true", "late true"]);
  expect(waits.size).toBe(0);
});
