/**
 * Work is bounded before it is done (docs/reference.md, Size and time limits): whatever fits into the limits of sizes, in whatever form, blocks the
 * server for a moment at the most, is answered by little more than came in, and leaves nothing in memory.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { until } from "../../local/until.ts";
import { Api, PASSWORD, type Person } from "../support/api.ts";
import { type MeasuredNode, startMeasuredNode } from "../support/measured-node.ts";

/** Milliseconds that one request may hold up all others. */
const LONGEST_BLOCK = 50;
/** Bytes that an answer may have whatever came in, and for each byte that came in. */
const FLOOR = 20_000;
const PER_BYTE = 2;
/** A collection of garbage may fall into any request: the least of so many times is the request's own. */
const MEASURES = 5;

const MAX_BODY = 1024 * 1024;
const MAX_HEAD = 15_000;
const BUDGET = { points: 1_000_000, duration: 3600 };

interface Shot {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

let node: MeasuredNode;
let ada: Person;

beforeAll(async () => {
  node = await startMeasuredNode({
    RATE_LIMIT: "on",
    RATE_LIMIT_DEFAULT: BUDGET,
    RATE_LIMIT_AUTH: BUDGET,
    RATE_LIMIT_LOGIN_FAILURES: BUDGET,
  });
  ada = await new Api(node.url).person("ada");
});
afterAll(() => node?.stop());

/** Sends bytes as they are. */
async function dial(): Promise<Socket> {
  const { port, hostname } = new URL(node.url);
  const socket = connect(Number(port), hostname).on("error", () => {});
  await once(socket, "connect");
  return socket;
}

const headOf = ({ method, path, headers, body }: Shot): string =>
  [
    `${method} ${path} HTTP/1.1`,
    "Host: taskwire",
    "Connection: close",
    ...(body.length > 0 ? [`Content-Length: ${body.length}`] : []),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "",
    "",
  ].join("\r\n");

interface Result {
  status: number;
  sent: number;
  received: number;
  longestMs: number;
}

async function fire(shot: Shot): Promise<Result> {
  const socket = await dial();
  await node.begin();
  const head = headOf(shot);
  let received = 0;
  let start = "";
  socket.on("data", (chunk) => {
    received += chunk.length;
    if (start === "") start = chunk.subarray(0, 20).toString("latin1");
  });
  const closed = once(socket, "close");
  socket.write(head);
  socket.write(shot.body);
  await closed;
  const { longestMs } = await node.read();
  return {
    status: Number(start.split(" ")[1]),
    sent: Buffer.byteLength(head) + shot.body.length,
    received,
    longestMs,
  };
}

const REGISTRATION = { email: "eve@example.com", username: "eve", password: PASSWORD };

/** Texts that are dear to somebody: separators, escapes, many bytes a character, white space, half characters. */
const PIECES = [
  ...'a, "\\\t é漢\u0301\u200b%&=/.+~-0[{',
  "\\u0000",
  "𝒳",
  ", ",
  "../",
  "a@a.",
  "\u202e",
  "\ud800",
] as const;
const piece = fc.oneof(fc.constantFrom(...PIECES), fc.string({ minLength: 1, maxLength: 8 }));
/** About so many bytes of one piece, again and again. */
const long = (bytes: number) =>
  piece.map((text) => text.repeat(Math.max(1, Math.floor(bytes / Buffer.byteLength(text)))));
const times = (most: number) => fc.oneof(fc.constant(most), fc.integer({ min: 1, max: most }));
const fill = (bytes: number, item: (index: number) => string): string[] => {
  const items: string[] = [];
  for (let size = 0, index = 0; size < bytes; index++) {
    items.push(item(index));
    size += Buffer.byteLength(items.at(-1) as string) + 1;
  }
  return items;
};

const encoded = (text: string): string => encodeURIComponent(text.toWellFormed());
const cut = (text: string): string => text.slice(0, MAX_HEAD).replace(/%.?$/, "");
const READS = ["/tasks", "/users", "/projects", "/auth/sessions", "/nothing", "/docs", "/problems/x"];
const get = (path: string, headers: Record<string, string> = {}): Shot => ({
  method: "GET",
  path,
  headers,
  body: Buffer.alloc(0),
});
const json = (method: string, path: string, text: string): Shot => ({
  method,
  path,
  headers: { "Content-Type": "application/json" },
  body: Buffer.from(text).subarray(0, MAX_BODY),
});

const queries: Record<string, fc.Arbitrary<Shot>> = {
  "query, repeated": fc
    .tuple(fc.constantFrom(...READS), fc.constantFrom("limit", "a", "q", "__proto__"), times(7900))
    .chain(([path, name, count]) =>
      fc
        .constantFrom(name, `${name}=1`)
        .map((one) => get(cut(`${path}?${Array(count).fill(one).join("&")}`))),
    ),
  "query, many names": fc
    .tuple(fc.constantFrom(...READS), piece)
    .map(([path, name]) => get(cut(`${path}?${fill(MAX_HEAD, (i) => `${encoded(name)}${i}=`).join("&")}`))),
  "query, long": fc
    .tuple(
      fc.constantFrom(...READS),
      fc.constantFrom("q", "cursor", "sort", "status", "limit", "updated_since", "assigned_to", "x"),
      long(MAX_HEAD),
    )
    .map(([path, name, value]) => get(cut(`${path}?${name}=${encoded(value)}`))),
  "query, lists": fc
    .tuple(fc.constantFrom("status", "priority", "sort"), fc.constantFrom("pending", "low", "position", "-"))
    .map(([name, value]) => get(cut(`/tasks?${name}=${Array(3000).fill(value).join(",")}`))),
  "path, long": fc
    .tuple(fc.constantFrom("/tasks/", "/projects/", "/", "/problems/", "/docs/", "/tasks/x/comments/"), piece)
    .map(([path, text]) => get(cut(path + encoded(text).repeat(MAX_HEAD)))),
  "path, deep": fc
    .tuple(fc.constantFrom("/api/v1", "", "/tasks"), fc.constantFrom("/a", "/", "/..", "/%2e", "/tasks"))
    .map(([path, part]) => get(cut(path + part.repeat(MAX_HEAD)))),
  "header, long": fc
    .tuple(
      fc.constantFrom("/tasks", "/auth/me", "/openapi.json"),
      fc.constantFrom(
        "Accept",
        "Accept-Encoding",
        "If-None-Match",
        "If-Match",
        "Cookie",
        "Idempotency-Key",
        "X-Forwarded-For",
        "X-Request-ID",
        "Authorization",
        "Origin",
        "Range",
        "traceparent",
      ),
      fc.constantFrom(
        "a",
        "a,",
        '"a",',
        ",",
        " ,",
        ";q=0.1,",
        "a=b;",
        "*/*,",
        "::1,",
        "W/",
        "Bearer a.",
        "=;",
      ),
    )
    .map(([path, name, text]) => ({
      // HEAD: the document itself is no amplification.
      ...get(path, { [name]: text.repeat(Math.floor(12_000 / text.length)) }),
      method: "HEAD",
    })),
};

const WRITES = [
  ["POST", "/tasks"],
  ["POST", "/projects"],
  ["POST", "/tasks/bulk"],
  ["POST", "/auth/register"],
  ["POST", "/auth/login"],
  ["POST", "/auth/password/forgot"],
  ["PATCH", "/users/me"],
  ["POST", "/categories"],
] as [string, string][];
const write = fc.constantFrom<[string, string]>(...WRITES);
const bytes = fc.constantFrom(1000, 30_000, MAX_BODY - 4096);
const quoted = (text: string): string => JSON.stringify(text);
const object = (fields: string[]): string => `{${fields.join(",")}}`;

const bodies: Record<string, fc.Arbitrary<Shot>> = {
  "body, wide": fc
    .tuple(write, bytes, piece, fc.constantFrom("1", "null", "{}", "[]", '""', '{"a":{}}'))
    .map(([to, size, name, value]) =>
      json(...to, object(fill(size, (i) => `${quoted(`${name}${i.toString(36)}`)}:${value}`))),
    ),
  "body, long lists": fc
    .tuple(write, bytes, fc.constantFrom("1", "[]", "{}", '""', "null", '{"op":"create","a":1}'))
    .map(([to, size, value]) => json(...to, `{"operations":[${fill(size, () => value).join(",")}]}`)),
  "body, deep": fc
    .tuple(write, times(500_000), fc.constantFrom("[", '{"a":', '[{"a":', "[1,"))
    .map(([to, count, open]) => json(...to, open.repeat(Math.min(count, Math.floor(1e6 / open.length))))),
  "body, a tree": fc
    .tuple(write, fc.integer({ min: 2, max: 150 }), fc.constantFrom("1", "{}", '"x"'))
    .map(([to, width, leaf]) => {
      const row = `[${Array(width).fill(leaf).join(",")}]`;
      return json(...to, `{"title":[${Array(width).fill(row).join(",")}],"name":{"a":${row}}}`);
    }),
  "body, a long name": fc
    .tuple(write, bytes, piece)
    .chain(([to, size]) => long(size).map((name) => json(...to, object([`${quoted(name)}:1`])))),
  "body, a long value": fc
    .tuple(
      write,
      fc.constantFrom(
        "title",
        "name",
        "description",
        "email",
        "login",
        "username",
        "password",
        "slug",
        "color",
      ),
      bytes,
    )
    .chain(([to, field, size]) =>
      long(size).map((value) =>
        json(...to, JSON.stringify({ ...(to[1] === "/auth/register" && REGISTRATION), [field]: value })),
      ),
    ),
  "body, a long number": fc
    .tuple(write, fc.constantFrom("1", "9", "0.1", "1e", "-1"), bytes)
    .map(([to, digits, size]) => json(...to, `{"title":${digits}${"1".repeat(size)}}`)),
  "body, no JSON": fc.tuple(write, long(MAX_BODY - 100)).map(([to, text]) => json(...to, text)),
  "bulk of 100": fc
    .tuple(fc.integer({ min: 1, max: 90 }), piece, fc.constantFrom("create", "update", "assign", "x"))
    .map(([width, name, op]) => {
      const fields = Array.from({ length: width }, (_, i) => `${quoted(`${name}${i}`)}:${quoted(name)}`);
      return json(
        "POST",
        "/tasks/bulk",
        `{"operations":[${Array(100)
          .fill(object([`"op":"${op}"`, ...fields]))
          .join(",")}]}`,
      );
    }),
};

/** At their fastest: how small a body is does not matter here. */
const CODINGS: Record<string, (body: Buffer) => Buffer> = {
  gzip: (body) => gzipSync(body, { level: 1 }),
  deflate: (body) => deflateSync(body, { level: 1 }),
  br: (body) => brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 2 } }),
  zstd: (body) => zstdCompressSync(body),
};
const BOMB = Buffer.alloc(64 * MAX_BODY, "[");

const compressed: Record<string, fc.Arbitrary<Shot>> = {
  compressed: fc
    .tuple(fc.constantFrom(...Object.keys(CODINGS)), fc.oneof(...Object.values(bodies)))
    .map(([coding, shot]) => ({
      ...shot,
      headers: { ...shot.headers, "Content-Encoding": coding },
      body: CODINGS[coding]?.(shot.body) as Buffer,
    })),
};
const bombs: Shot[] = Object.entries(CODINGS).map(([coding, pack]) => ({
  ...json("POST", "/tasks", ""),
  headers: { "Content-Type": "application/json", "Content-Encoding": coding },
  body: pack(BOMB).subarray(0, MAX_BODY),
}));

/** A sample that is the same each time. */
const SEED = 20261126;
const sample = (arbitrary: fc.Arbitrary<Shot>, count: number): Shot[] =>
  fc.sample(arbitrary, { numRuns: count, seed: SEED });

const kinds = (): [string, Shot[]][] => [
  ...Object.entries(queries).map(([kind, shots]): [string, Shot[]] => [kind, sample(shots, 16)]),
  ...Object.entries(bodies).map(([kind, shots]): [string, Shot[]] => [kind, sample(shots, 12)]),
  ["compressed", sample(compressed.compressed as fc.Arbitrary<Shot>, 40)],
  ["compressed bombs", bombs],
];

describe("whatever is sent", () => {
  const worst: Record<
    string,
    { requests: number; "block, ms": number; "bytes out": number; "of bytes in": number; answers: string }
  > = {};

  test("holds up the others for a moment, and is answered by little more than came in", async () => {
    const credentials = { Authorization: `Bearer ${ada.token}` };
    // The first requests of a kind wait for code that is read and compiled.
    for (const [, shots] of kinds())
      await fire({ ...(shots[0] as Shot), headers: { ...shots[0]?.headers, ...credentials } });
    const { held } = await node.read(true);

    const faults: object[] = [];
    for (const [kind, shots] of kinds()) {
      const row = { requests: shots.length, "block, ms": 0, "bytes out": 0, "of bytes in": 0, answers: "" };
      worst[kind] = row;
      for (const shot of shots) {
        const known = { ...shot, headers: { ...credentials, ...shot.headers } };
        let result = await fire(known);
        for (let again = 1; again < MEASURES && result.longestMs >= LONGEST_BLOCK; again++) {
          const { longestMs } = await fire(known);
          result = { ...result, longestMs: Math.min(longestMs, result.longestMs) };
        }
        const { status, sent, received, longestMs } = result;
        row.answers = [...new Set([...row.answers.split(" "), String(status)])].toSorted().join(" ").trim();
        row["block, ms"] = Math.max(row["block, ms"], Math.round(longestMs));
        if (received > row["bytes out"]) Object.assign(row, { "bytes out": received, "of bytes in": sent });
        const isServed = status >= 200 && status < 500;
        if (!isServed || longestMs >= LONGEST_BLOCK || received > FLOOR + PER_BYTE * sent)
          faults.push({
            kind,
            status,
            sent,
            received,
            longestMs,
            shot: `${shot.method} ${shot.path.slice(0, 80)} ${shot.body.subarray(0, 80).toString()}`,
          });
      }
    }
    const after = await node.read(true);
    if (process.env.BOUNDED_TABLE !== undefined) console.table(worst);
    expect(faults).toEqual([]);
    expect(after.held - held).toBeLessThan(24 * 1024 * 1024);
  });
});

describe("answers that nobody reads", () => {
  const unread: Socket[] = [];
  afterAll(() => unread.forEach((socket) => socket.destroy()));

  test("hold so many bytes and no more, and keep nobody else waiting", async () => {
    // Pages of 6 MB: 100 tasks with 10,000 characters that JSON writes in six bytes each.
    const task = { op: "create", title: "Long", description: `a${"\u0001".repeat(9999)}` };
    for (let at = 0; at < 10; at++)
      await ada.api.must("POST", "/tasks/bulk", { operations: Array(10).fill(task) });
    const request = headOf(
      get("/tasks?limit=100", { Authorization: `Bearer ${ada.token}`, Connection: "keep-alive" }),
    );
    const { held } = await node.read(true);
    const beginnings: string[] = [];
    for (let at = 0; at < 40; at++) {
      const socket = await dial();
      unread.push(socket);
      // Its beginning is read, and then nothing more.
      socket.once("data", (chunk: Buffer) => {
        beginnings.push(chunk.subarray(9, 12).toString());
        socket.pause();
      });
      socket.write(request);
      await until(() => beginnings.length === at + 1, 10_000);
    }
    const waiting = await node.read(true);
    // 32 MiB for each client, and what one more answer has beyond it.
    expect(waiting.held - held).toBeLessThan(48 * 1024 * 1024);
    expect(new Set(beginnings)).toEqual(new Set(["200", "503"]));
    expect(beginnings.at(-1)).toBe("503");
    const bob = await new Api(node.url).person("bob");
    expect((await bob.api.get("/tasks?limit=1")).status).toBe(200);

    for (const socket of unread) socket.destroy();
    expect(await until(async () => (await ada.api.get("/tasks?limit=1")).status === 200, 5000)).toBe(true);
    expect((await node.read(true)).held - held).toBeLessThan(24 * 1024 * 1024);
  });
});
