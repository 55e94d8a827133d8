/**
 * The load of `npm run bench`, as a worker thread: takes one `Load` after another and answers each with a `Figures`.
 * It speaks HTTP/1.1 on bare sockets, because on a small machine it takes its time from the server that it measures:
 * some 15 µs a request, half of what node:http's client takes.
 */
import { connect } from "node:net";
import { parentPort } from "node:worker_threads";

export interface Load {
  /** Names the load: one that comes again goes on where it ended. */
  id: string;
  port: number;
  /** Access tokens; each connection keeps to one of them. */
  tokens: string[];
  method: "GET" | "POST" | "PATCH";
  /** Taken in turns. With a multiple of `connections` of them no two connections ever ask for the same one. */
  paths: string[];
  /** JSON, in which `#` stands for a number that never comes again. Each time that a path comes it takes the next of them. */
  bodies?: string[];
  /** How many `items` the answers have; they are looked at once a connection. */
  items?: number;
  connections: number;
  /** Milliseconds in which requests are sent. */
  ms: number;
}

export interface Figures {
  requests: number;
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
}

/** Milliseconds without a byte after which a server counts as hung. */
const PATIENCE = 10_000;
const END_OF_HEAD = Buffer.from("\r\n\r\n");

/** A message whose body is complete, or null when more of it has to come. */
function parse(bytes: Buffer): { status: number; body: Buffer } | null {
  const end = bytes.indexOf(END_OF_HEAD);
  if (end === -1) return null;
  const head = bytes.toString("latin1", 0, end);
  const status = Number(head.slice(9, 12));
  const start = end + 4;
  const length = /\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    const stop = start + Number(length);
    return bytes.length < stop ? null : { status, body: bytes.subarray(start, stop) };
  }
  if (!/\ntransfer-encoding: *chunked/i.test(head)) return { status, body: bytes.subarray(start) };
  const chunks: Buffer[] = [];
  for (let at = start; ;) {
    const line = bytes.indexOf("\r\n", at);
    if (line === -1) return null;
    const size = parseInt(bytes.toString("latin1", at, line), 16);
    at = line + 2 + size + 2;
    if (bytes.length < at) return null;
    if (size === 0) return { status, body: Buffer.concat(chunks) };
    chunks.push(bytes.subarray(line + 2, line + 2 + size));
  }
}

let unique = Date.now();
/** The next turn of each connection, by the id of the load. */
const turns = new Map<string, number[]>();

function requestText(
  { port, method, paths, bodies }: Load,
  path: string,
  token: string,
  turn: number,
): string {
  const head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n`;
  if (bodies === undefined) return `${head}\r\n`;
  const body = bodies[Math.floor(turn / paths.length) % bodies.length] as string;
  const text = body.replaceAll("#", () => String(unique++));
  return `${head}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** Why an answer is not the one that was asked for; null when it is. */
function fault({ method, items }: Load, path: string, { status, body }: { status: number; body: Buffer }) {
  if (status < 200 || status > 299) return `${method} ${path}: ${status} ${body.toString().slice(0, 500)}`;
  if (items === undefined) return null;
  const list = (JSON.parse(body.toString()) as { items?: unknown[] }).items;
  return list?.length === items ? null : `${method} ${path}: ${list?.length} items in place of ${items}`;
}

/** One connection that sends the next request when the last one is answered, and adds the times to `times`. */
function converse(load: Load, next: number[], nth: number, times: number[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ port: load.port, host: "127.0.0.1", noDelay: true });
  const token = load.tokens[nth % load.tokens.length] as string;
  let [path, sent, deadline, answers] = ["", 0, 0, 0];
  let pending: Buffer | null = null;

  const give = (up: string): void => {
    socket.destroy();
    reject(new Error(up));
  };
  const send = (): void => {
    const turn = next[nth] as number;
    next[nth] = turn + load.connections;
    path = load.paths[turn % load.paths.length] as string;
    const text = requestText(load, path, token, turn);
    sent = performance.now();
    socket.write(text, "latin1");
  };

  socket.setTimeout(PATIENCE, () => give(`${load.method} ${path}: no answer in ${PATIENCE / 1000} s`));
  socket.on("error", (error) => give(`${load.method} ${path}: ${error.message}`));
  socket.on("close", () => give(`${load.method} ${path}: the server closed the connection`));
  socket.once("connect", () => {
    deadline = performance.now() + load.ms;
    send();
  });
  socket.on("data", (data) => {
    pending = pending === null ? data : Buffer.concat([pending, data]);
    const answer = parse(pending);
    if (answer === null) return;
    pending = null;
    const now = performance.now();
    times.push(now - sent);
    answers += 1;
    const wrong = answers === 1 || answer.status > 299 ? fault(load, path, answer) : null;
    if (wrong !== null) give(wrong);
    else if (now < deadline) send();
    else {
      resolve();
      socket.destroy();
    }
  });
  return promise;
}

async function run(load: Load): Promise<Figures> {
  const times: number[] = [];
  const first = Array.from({ length: load.connections }, (_, nth) => nth);
  const next = turns.get(load.id) ?? first;
  turns.set(load.id, next);
  const began = performance.now();
  await Promise.all(first.map((nth) => converse(load, next, nth, times)));
  const seconds = (performance.now() - began) / 1000;
  const sorted = Float64Array.from(times).sort();
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { requests: times.length, perSecond: times.length / seconds, p50: at(0.5), p99: at(0.99) };
}

parentPort?.on("message", (load: Load) => {
  run(load).then(
    (figures) => parentPort?.postMessage(figures),
    (error: Error) => parentPort?.postMessage(error.message),
  );
});
