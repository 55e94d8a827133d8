/**
 * The clients of `npm run bench:sockets`, in a process of their own. They speak WebSocket and engine.io on bare
 * connections, because on a small machine they take their time from the server that they measure: a frame costs them a few
 * microseconds.
 */
import { connect, type Socket } from "node:net";
import process from "node:process";

export interface Cursor {
  seq: number;
  id: string;
}

/** Opens sockets. `resume` opens those of the first time again, with their cursors. */
export interface Opening {
  kind: "open";
  port: number;
  path: string;
  /** Of 127.0.0.0/8: an address has 28,000 outgoing ports. */
  from: string;
  /** Connections under way at once. */
  atOnce: number;
  /** What each socket says first; none to open the same ones again. */
  auths: object[];
}

export type Command = Opening | { kind: "close" } | { kind: "watch" } | { kind: "read" };

/** How one event reached the sockets of this process: milliseconds of CLOCK_MONOTONIC. */
export interface Spread {
  sent: number;
  first: number;
  last: number;
  count: number;
}

export interface Report {
  opened: number;
  failed: number;
  /** Milliseconds from the begin of a connection to `ready`, of each socket. */
  readyMs: number[];
  /** Of events to all. */
  spreads: Spread[];
  /** Milliseconds from the write of an event to a small room to each of its clients. */
  delays: number[];
  /** Events since the last `watch`. */
  events: number;
  outOfOrder: number;
  /** Connections that the server closed. */
  lost: number;
  /** The first packet by which the server refused a socket. */
  refusal?: string | undefined;
}

/** Milliseconds of a clock that all processes of the machine share. */
export const sharedNow = (): number => Number(process.hrtime.bigint()) / 1e6;

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const END_OF_HEAD = "\r\n\r\n";

/** A client's frame: its mask is zero, which leaves the text as it is. */
function frameOf(text: string): Buffer {
  const { length } = Buffer.from(text);
  const head =
    length < 126 ? Buffer.from([0x81, 0x80 | length]) : Buffer.from([0x81, 0xfe, length >> 8, length & 0xff]);
  return Buffer.concat([head, Buffer.alloc(4), Buffer.from(text)]);
}

const PONG = frameOf("3");

let report: Report;
const begin = (): void => {
  const none = { opened: 0, failed: 0, events: 0, outOfOrder: 0, lost: 0 };
  report = { ...none, readyMs: [], spreads: [], delays: [] };
};
const spreads = new Map<number, Spread>();

class Client {
  readonly #auth: object;
  readonly #cursors: Record<string, Cursor> = {};
  #connection: Socket | null = null;
  #rest: Buffer | null = null;
  #isUpgraded = false;
  #isClosing = false;
  #beganAt = 0;
  #settle: (isReady: boolean) => void = () => {};

  constructor(auth: object) {
    this.#auth = auth;
  }

  open({ port, path, from }: Opening): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#settle = resolve;
    this.#isUpgraded = this.#isClosing = false;
    this.#rest = null;
    this.#beganAt = sharedNow();
    const connection = connect({ host: "127.0.0.1", port, localAddress: from, noDelay: true });
    this.#connection = connection;
    connection.on("connect", () =>
      connection.write(
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
      ),
    );
    connection.on("data", (data) => this.#take(data));
    connection.on("error", () => {});
    connection.on("close", () => {
      if (!this.#isClosing) report.lost += 1;
      resolve(false);
    });
    return promise;
  }

  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#isClosing = true;
    if (this.#connection === null || this.#connection.destroyed) resolve();
    else this.#connection.once("close", () => resolve()).destroy();
    return promise;
  }

  #take(data: Buffer): void {
    let bytes = this.#rest === null ? data : Buffer.concat([this.#rest, data]);
    this.#rest = null;
    if (!this.#isUpgraded) {
      const end = bytes.indexOf(END_OF_HEAD);
      if (end === -1) return void (this.#rest = bytes);
      if (!bytes.toString("latin1", 0, 12).endsWith("101")) return void this.#connection?.destroy();
      this.#isUpgraded = true;
      bytes = bytes.subarray(end + END_OF_HEAD.length);
    }
    let at = 0;
    while (bytes.length - at >= 2) {
      let length = (bytes[at + 1] as number) & 0x7f;
      let head = 2;
      if (length === 126) {
        head = 4;
        if (bytes.length - at < head) break;
        length = bytes.readUInt16BE(at + 2);
      } else if (length === 127) {
        head = 10;
        if (bytes.length - at < head) break;
        length = Number(bytes.readBigUInt64BE(at + 2));
      }
      const end = at + head + length;
      if (bytes.length < end) break;
      this.#packet(bytes.toString("latin1", at + head, end));
      at = end;
    }
    if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at));
  }

  #packet(packet: string): void {
    if (packet === "2") this.#connection?.write(PONG);
    else if (packet.startsWith("0"))
      this.#connection?.write(frameOf(`40${JSON.stringify({ ...this.#auth, cursors: this.#cursors })}`));
    else if (packet.startsWith('42["ready"')) {
      const [, { streams }] = JSON.parse(packet.slice(2)) as [string, { streams: Record<string, Cursor> }];
      for (const [name, { seq, id }] of Object.entries(streams)) this.#cursors[name] = { seq, id };
      report.readyMs.push(sharedNow() - this.#beganAt);
      this.#settle(true);
    } else if (packet.startsWith('42["task_')) this.#event(packet);
    else if (packet.startsWith("44")) {
      report.refusal ??= packet;
      this.#connection?.destroy();
    }
  }

  #event(packet: string): void {
    const now = sharedNow();
    report.events += 1;
    const [, id = "", stream = "", number = "0"] =
      /"id":"([^"]+)","stream":"([^"]+)","seq":(\d+)/.exec(packet) ?? [];
    const seq = Number(number);
    const last = this.#cursors[stream];
    if (last !== undefined && seq !== last.seq + 1) report.outOfOrder += 1;
    this.#cursors[stream] = { seq, id };
    const [, room, at] = /"bench (all|some) ([\d.]+)"/.exec(packet) ?? [];
    if (room === undefined) return;
    const sent = Number(at);
    if (room === "some") return void report.delays.push(now - sent);
    const spread = spreads.get(sent);
    if (spread === undefined) spreads.set(sent, { sent, first: now, last: now, count: 1 });
    else {
      spread.last = now;
      spread.count += 1;
    }
  }
}

let clients: Client[] = [];

async function open(opening: Opening): Promise<void> {
  if (opening.auths.length > 0) clients = opening.auths.map((auth) => new Client(auth));
  const waiting = clients.values();
  await Promise.all(
    Array.from({ length: opening.atOnce }, async () => {
      for (const client of waiting)
        if (await client.open(opening)) report.opened += 1;
        else report.failed += 1;
    }),
  );
}

async function run(command: Command): Promise<Report | null> {
  switch (command.kind) {
    case "open":
      await open(command);
      return null;
    case "close":
      await Promise.all(clients.map((client) => client.close()));
      return null;
    case "watch":
      spreads.clear();
      begin();
      return null;
    case "read":
      return { ...report, spreads: [...spreads.values()] };
  }
}

if (process.argv[2] === "run") {
  begin();
  process.on("message", (command: Command) => {
    run(command).then(
      (answer) => process.send?.({ answer }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.once("disconnect", () => process.exit());
}
