import { EventEmitter } from "node:events";
import { beforeEach, describe, expect, jest, test } from "@jest/globals";
import { until } from "../../local/until.ts";
import type { Statement } from "../../mixins/database.ts";

interface Sent {
  text: string;
  answer: (rows?: object[]) => void;
  fail: (error: Error) => void;
}

/** A connection whose answers the test gives. */
class Connection extends EventEmitter {
  static made: Connection[] = [];
  /** How attempts to connect end, one after the other; those that none is left for succeed. */
  static refusals: Error[] = [];
  static connecting = Promise.resolve();
  readonly options: { pipeline?: boolean };
  readonly sent: Sent[] = [];
  ended = false;
  /** Writes to the socket, and whether the next one is held back. */
  writes = 0;
  isCorked = false;
  readonly connection = {
    stream: {
      cork: () => void (this.isCorked = true),
      uncork: () => {
        this.isCorked = false;
        this.writes += 1;
      },
    },
  };
  constructor(options: object) {
    super();
    this.options = options;
    Connection.made.push(this);
  }
  connect(): Promise<void> {
    const refusal = Connection.refusals.shift();
    return refusal === undefined ? Connection.connecting : Promise.reject(refusal);
  }
  query({ text }: Statement): Promise<{ rows: object[] }> {
    if (!this.isCorked) this.writes += 1;
    return new Promise((resolve, reject) =>
      this.sent.push({ text, answer: (rows = []) => resolve({ rows }), fail: reject }),
    );
  }
  end(): Promise<void> {
    this.ended = true;
    this.emit("end");
    return Promise.resolve();
  }
  /** As pg does it: what is under way fails, then the connection tells. */
  lose(error: Error): void {
    for (const { fail } of this.sent) fail(error);
    this.emit("error", error);
    this.emit("end");
  }
}

jest.unstable_mockModule("pg", () => ({ default: { Client: Connection } }));
const { Pipelines } = await import("../../mixins/pipelines.ts");

const [LINES, UNDER_WAY] = [3, 32];
const lost: Error[] = [];
const open = (waitMs = 60_000) => new Pipelines({}, waitMs, (error) => lost.push(error));
/** Lets everything happen that only waits for its turn. */
const settled = () => new Promise((resolve) => setImmediate(resolve));
const sent = (): string[][] => Connection.made.map((connection) => connection.sent.map(({ text }) => text));
const all = (): Sent[] => Connection.made.flatMap((connection) => connection.sent);

beforeEach(() => {
  [Connection.made, Connection.refusals, Connection.connecting] = [[], [], Promise.resolve()];
  lost.length = 0;
});

describe("statements", () => {
  test("that one turn sends by a connection leave in one write", async () => {
    const lines = open();
    const send = async (): Promise<number[]> => {
      for (let n = 0; n < 2 * LINES; n++) void lines.query({ text: `${n}` });
      await settled();
      for (const { answer } of all()) answer();
      await settled();
      return Connection.made.map(({ writes }) => writes);
    };
    await send();
    const before = await send();
    expect(before).toHaveLength(LINES);
    expect(await send()).toEqual(before.map((writes) => writes + 1));
  });

  test("connect nobody before the first, and are sent while those before are being answered", async () => {
    const lines = open();
    expect(Connection.made).toEqual([]);
    const first = lines.query({ text: "1" });
    await settled();
    const rest = ["2", "3", "4", "5", "6"].map((text) => lines.query({ text }));
    await settled();
    // The busy one gets company, and each statement the least busy one.
    expect(Connection.made).toHaveLength(LINES);
    expect(Connection.made.every(({ options }) => options.pipeline)).toBe(true);
    expect(sent().flat().sort()).toEqual(["1", "2", "3", "4", "5", "6"]);
    for (const line of sent()) expect(line).toEqual(line.toSorted());
    for (const { text, answer } of all()) answer([{ text }]);
    expect((await first).rows).toEqual([{ text: "1" }]);
    expect((await Promise.all(rest)).map(({ rows }) => rows)).toEqual(
      ["2", "3", "4", "5", "6"].map((text) => [{ text }]),
    );
  });

  test("with a name follow the first of that name when it was answered: then its connection knows it", async () => {
    const lines = open();
    const asked = Array.from({ length: 9 }, (_, n) => lines.query({ name: "n", text: `${n}` }));
    await settled();
    expect(sent().flat()).toEqual(["0"]);
    for (const { answer } of all()) answer();
    await settled();
    expect(all()).toHaveLength(9);
    for (const { answer } of all()) answer();
    await Promise.all(asked);
  });

  test("that could not be prepared fail alone: the next of that name prepares it", async () => {
    const lines = open();
    const first = lines.query({ name: "n", text: "first" });
    await settled();
    const [line] = Connection.made as [Connection];
    line.sent[0]?.fail(new Error("syntax"));
    await expect(first).rejects.toThrow("syntax");
    const second = lines.query({ name: "n", text: "second" });
    await settled();
    all().at(-1)?.answer();
    await second;
  });
});

describe("a connection that is lost", () => {
  test("fails what is under way on it and nothing else, and is replaced when it is missed", async () => {
    const lines = open();
    const asked = Array.from({ length: 6 }, (_, n) => lines.query({ text: `${n}` }));
    const outcomes = Promise.allSettled(asked);
    await settled();
    const [gone, ...others] = Connection.made as [Connection, ...Connection[]];
    const underWay = gone.sent.map(({ text }) => text);
    expect(underWay.length).toBeGreaterThan(0);
    gone.lose(new Error("Connection terminated"));
    for (const { sent } of others) for (const { answer } of sent) answer();
    await settled();
    for (const { sent } of others) for (const { answer } of sent) answer();
    const failed = (await outcomes).flatMap(({ status }, n) => (status === "rejected" ? [`${n}`] : []));
    expect(failed).toEqual(underWay.toSorted());
    expect(lost.map(({ message }) => message)).toEqual(["Connection terminated"]);

    const next = Array.from({ length: 6 }, (_, n) => lines.query({ text: `next ${n}` }));
    await settled();
    expect(Connection.made).toHaveLength(LINES + 1);
    for (const { answer } of all()) answer();
    await Promise.all(next);
    expect(gone.sent).toHaveLength(underWay.length);
  });

  test("that was never made refuses those that wait for it, and the next try may succeed", async () => {
    Connection.refusals = [Object.assign(new Error("refused"), { code: "ECONNREFUSED" })];
    const lines = open();
    await expect(lines.query({ text: "1" })).rejects.toThrow("refused");
    const second = lines.query({ text: "2" });
    expect(await until(() => all().length === 1, 5000)).toBe(true);
    all()[0]?.answer();
    await second;
    // It was no loss: nothing was there.
    expect(lost).toEqual([]);
    // Forgotten: the others connect at once, and together.
    const rest = Array.from({ length: 6 }, (_, n) => lines.query({ text: `${n}` }));
    await settled();
    expect(Connection.made).toHaveLength(1 + LINES);
    for (const { answer } of all()) answer();
    await settled();
    for (const { answer } of all()) answer();
    await Promise.all(rest);
  });
});

describe("a wait", () => {
  /** Statements that fill all connections. */
  const fill = async (lines: InstanceType<typeof Pipelines>) => {
    const asked = Array.from({ length: LINES * UNDER_WAY }, (_, n) => lines.query({ text: `${n}` }));
    await settled();
    expect(all()).toHaveLength(LINES * UNDER_WAY);
    return Promise.all(asked);
  };

  test("ends when a connection has room again, longest first", async () => {
    const lines = open();
    const full = fill(lines);
    await settled();
    const late = ["late 1", "late 2"].map((text) => lines.query({ text }));
    await settled();
    expect(all()).toHaveLength(LINES * UNDER_WAY);
    all()[0]?.answer();
    await settled();
    const texts = sent().flat();
    expect([texts.includes("late 1"), texts.includes("late 2")]).toEqual([true, false]);
    for (const { answer } of all()) answer();
    await settled();
    for (const { answer } of all()) answer();
    await Promise.all([full, ...late]);
  });

  test("is bounded: busy connections are busy, missing ones are missing", async () => {
    const lines = open(20);
    const full = fill(lines);
    await settled();
    await expect(lines.query({ text: "late" })).rejects.toThrow("timeout exceeded");
    for (const { answer } of all()) answer();
    await full;

    const hanging = Promise.withResolvers<void>();
    Connection.connecting = hanging.promise;
    const none = open(20);
    await expect(none.query({ text: "never" })).rejects.toThrow("timeout expired");
    hanging.resolve();
    await none.close();
  });
});

describe("the end", () => {
  test("closes each connection, refuses those that wait and whoever comes later", async () => {
    const lines = open();
    const first = lines.query({ text: "1" });
    await settled();
    all()[0]?.answer();
    await first;
    await lines.close();
    expect(Connection.made.length).toBeGreaterThan(0);
    expect(Connection.made.filter(({ ended }) => !ended)).toEqual([]);
    await expect(lines.query({ text: "2" })).rejects.toThrow("Client was closed");

    const hanging = Promise.withResolvers<void>();
    Connection.connecting = hanging.promise;
    const other = open();
    const waiting = expect(other.query({ text: "3" })).rejects.toThrow("Client was closed");
    await other.close();
    await waiting;
    // A connection that comes up after that is closed, too.
    hanging.resolve();
    expect(await until(() => Connection.made.at(-1)?.ended === true, 5000)).toBe(true);
  });
});
