import { describe, expect, jest, test } from "@jest/globals";
import { RevokedSessions } from "../../core/revoked-sessions.ts";
import type { Database, Statement } from "../../mixins/database.ts";
import { RevocationFeed } from "../../mixins/revocations.ts";

/** A database that answers when the test says so. */
function heldDatabase() {
  const asked: { statement: Statement; answer(ids: string[]): void; fail(): void }[] = [];
  const db: Pick<Database, "query"> & { interruptions: number } = {
    interruptions: 0,
    query: <Row>(statement: Statement) => {
      const { promise, resolve, reject } = Promise.withResolvers<Row[]>();
      asked.push({
        statement,
        answer: (ids) => resolve(ids.map((id) => ({ id, session_id: id })) as Row[]),
        fail: () => reject(new Error("away")),
      });
      return promise;
    },
  };
  return { db, asked };
}

/** All that is ready to run has run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("the sessions that a node must refuse", () => {
  test("are refused for as long as a token of theirs may live, and a minute more; then forgotten", () => {
    const sessions = new RevokedSessions(900);
    const now = Date.now();
    expect(sessions.add(["a", "b"], now)).toEqual(["a", "b"]);
    expect(sessions.add(["b", "c"], now)).toEqual(["c"]);
    sessions.prune(now + 959_999);
    expect(["a", "b", "c", "d"].map((id) => sessions.has(id))).toEqual([true, true, true, false]);
    sessions.prune(now + 960_000);
    expect(sessions.has("a")).toBe(false);
  });
});

describe("a node that reads what ended", () => {
  test("knows of nobody whether they may come in, as long as it never could ask; but whom a hint named", async () => {
    const { db, asked } = heldDatabase();
    const feed = new RevocationFeed(db, 900);
    expect(feed.has("x")).toBeNull();
    const failed = expect(feed.whenCurrent()).rejects.toThrow("away");
    asked[0]?.fail();
    await failed;
    expect(feed.has("x")).toBeNull();
    feed.markEnded(["gone"]);
    expect([feed.has("gone"), feed.has("x")]).toEqual([true, null]);
    const read = feed.whenCurrent();
    asked[1]?.answer(["x"]);
    await read;
    expect(["gone", "x", "y"].map((id) => feed.has(id))).toEqual([true, true, false]);
  });

  test("asks first for as long as tokens live, then for what is new, each time a minute more than it seems to need", async () => {
    const { db, asked } = heldDatabase();
    const feed = new RevocationFeed(db, 900);
    for (const at of [0, 1]) {
      const read = feed.read();
      asked[at]?.answer([]);
      await read;
    }
    const [[first], [second]] = asked.map(({ statement }) => statement.values as [number]) as [
      [number],
      [number],
    ];
    expect(first).toBe(960_000);
    expect(second).toBeGreaterThanOrEqual(60_000);
    expect(second).toBeLessThan(70_000);
  });

  test("asks for all since the last answer when the database was away", async () => {
    const { db, asked } = heldDatabase();
    const feed = new RevocationFeed(db, 900);
    const failed = expect(feed.read()).rejects.toThrow("away");
    asked[0]?.fail();
    await failed;
    const read = feed.read();
    asked[1]?.answer([]);
    await read;
    expect(asked[1]?.statement.values).toEqual([960_000]);
  });

  test("asks one question at a time, and once more for all who came meanwhile: the first may be too old for them", async () => {
    const { db, asked } = heldDatabase();
    const feed = new RevocationFeed(db, 900);
    const first = feed.read();
    const later = [feed.read(), feed.read(), feed.read()];
    await settled();
    expect(asked).toHaveLength(1);
    asked[0]?.answer([]);
    await first;
    await settled();
    expect(asked).toHaveLength(2);
    asked[1]?.answer(["late"]);
    await Promise.all(later);
    expect([asked.length, feed.has("late")]).toEqual([2, true]);
    // So it goes on, also after a read that failed: that was nobody's but the first's.
    const failed = expect(feed.read()).rejects.toThrow("away");
    const next = feed.read();
    asked[2]?.fail();
    await failed;
    await settled();
    expect(asked).toHaveLength(4);
    asked[3]?.answer(["latest"]);
    await next;
    expect(feed.has("latest")).toBe(true);
  });

  test("lets requests wait for the read that a hint began, and for no other", async () => {
    const { db, asked } = heldDatabase();
    const feed = new RevocationFeed(db, 900);
    const filled = feed.read();
    asked[0]?.answer([]);
    await filled;
    const polled = feed.read();
    await feed.whenCurrent();
    feed.refresh();
    const waiting = feed.whenCurrent();
    let passed = false;
    void waiting.then(() => (passed = true));
    asked[1]?.answer([]);
    await polled;
    await settled();
    expect(passed).toBe(false);
    asked[2]?.answer(["ended"]);
    await waiting;
    expect(feed.has("ended")).toBe(true);
    // The second of two hints needs a read of its own: the end of the first one's lets nobody pass.
    feed.refresh();
    feed.refresh();
    asked[3]?.answer([]);
    await settled();
    passed = false;
    const waitsForBoth = feed.whenCurrent().then(() => (passed = true));
    await settled();
    expect([passed, asked.length]).toEqual([false, 5]);
    asked[4]?.answer([]);
    await waitsForBoth;
    // A read that fails keeps nobody waiting.
    feed.refresh();
    asked[5]?.fail();
    await feed.whenCurrent();
  });

  test("forgets with each read what no token can be of any more", async () => {
    jest.useFakeTimers({ doNotFake: ["setImmediate"] });
    try {
      const { db, asked } = heldDatabase();
      const feed = new RevocationFeed(db, 900);
      feed.markEnded(["old"]);
      jest.advanceTimersByTime(960_000);
      const read = feed.read();
      asked[0]?.answer([]);
      await read;
      expect(feed.has("old")).toBe(false);
    } finally {
      jest.useRealTimers();
    }
  });

  test("tells of each session once", async () => {
    const { db, asked } = heldDatabase();
    const told: string[][] = [];
    const feed = new RevocationFeed(db, 900, (ids) => told.push(ids));
    feed.markEnded(["a"]);
    const read = feed.read();
    asked[0]?.answer(["a", "b"]);
    await read;
    feed.markEnded(["b"]);
    expect(told).toEqual([["a"], ["b"]]);
  });

  /** A node that has read once, with what it asks next. */
  async function readingNode() {
    const held = heldDatabase();
    const told: string[] = [];
    const feed = new RevocationFeed(held.db, 900, (ids) => told.push(...ids));
    const read = feed.read();
    held.asked.shift()?.answer([]);
    await read;
    return { ...held, feed, told };
  }

  test("asks once whether a session that came is in Postgres, and ends it if it is not", async () => {
    const { asked, feed, told } = await readingNode();
    await feed.confirm();
    expect(asked).toEqual([]);
    expect(["a", "lost", "a"].map((id) => feed.has(id))).toEqual([false, false, false]);
    const confirmed = feed.confirm();
    expect(asked.map(({ statement }) => statement.values)).toEqual([[["a", "lost"]]]);
    asked[0]?.answer(["lost"]);
    await confirmed;
    expect(told).toEqual(["lost"]);
    expect(["a", "lost"].map((id) => feed.has(id))).toEqual([false, true]);
    await feed.confirm();
    expect(asked).toHaveLength(1);
  });

  test("asks again for all of them after Postgres was away, and believes no answer from before", async () => {
    const { db, asked, feed, told } = await readingNode();
    feed.has("a");
    const overlapping = feed.confirm();
    db.interruptions += 1;
    asked[0]?.answer([]);
    await overlapping;
    for (const at of [1, 2]) {
      const confirmed = feed.confirm();
      expect(asked[at]?.statement.values).toEqual([["a"]]);
      asked[at]?.answer(at === 1 ? [] : ["a"]);
      await confirmed;
      db.interruptions += 1;
    }
    expect(told).toEqual(["a"]);
  });
});
