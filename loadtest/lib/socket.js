// A socket.io socket over a bare WebSocket, as docs/write-a-client.md describes it: packets are text, and their first
// characters say what they are.
import { WebSocket } from "k6/websockets";
import { Counter, Trend } from "k6/metrics";
import { headersOf } from "./api.js";
import { SOCKET_URLS } from "./settings.js";

/** @typedef {import("./api.js").User} User */

/** From the begin of the connection to `ready`. */
const readyTime = new Trend("socket_ready", true);
/** From the time of an event, which its writer notes, to its arrival. Clocks must agree. */
const eventDelay = new Trend("event_delay", true);
const received = new Counter("events_received");
/** Events whose number did not follow the last one's. */
const outOfOrder = new Counter("events_out_of_order");
/** Sockets that were refused or closed before the test closed them. */
const lost = new Counter("sockets_lost");
/** Events that are in the log and did not arrive. */
export const missed = new Counter("events_missed");

/** @type {Record<string, string[]>} */
export const SOCKET_THRESHOLDS = {
  event_delay: ["p(95)<200", "p(99)<500", "p(95)<20", "p(99)<50"],
  events_out_of_order: ["count==0"],
  events_missed: ["count==0"],
  sockets_lost: ["count==0"],
};

/** A socket in one stream. */
export class Listener {
  /**
   * @param {User} user
   * @param {string} stream
   * @param {number} nth which of SOCKET_URLS it takes
   */
  constructor(user, stream, nth) {
    this.stream = stream;
    /** The number of the last event. */
    this.seq = 0;
    this.token = user.token;
    this.began = Date.now();
    this.isReady = false;
    this.isLeaving = false;
    this.isOpen = true;
    /** Resolves when the socket is ready, or over. */
    this.settled = new Promise((resolve) => (this.settle = resolve));
    const origin = (SOCKET_URLS[nth % SOCKET_URLS.length] ?? "").replace(/^http/, "ws");
    const { Authorization: _, ...headers } = headersOf(user.index);
    this.socket = new WebSocket(`${origin}/ws/?EIO=4&transport=websocket`, null, { headers });
    this.socket.onmessage = (event) => this.take(String(event?.data));
    this.socket.onerror = () => {};
    this.socket.onclose = () => this.end();
  }

  end() {
    this.isOpen = false;
    if (!this.isLeaving) lost.add(1);
    this.settle?.(undefined);
  }

  /** @param {string} packet */
  take(packet) {
    if (packet === "2") return this.socket.send("3");
    if (packet.startsWith("0"))
      return this.socket.send(`40${JSON.stringify({ token: this.token, streams: [this.stream] })}`);
    if (packet.startsWith("44") || packet === "41") return this.socket.close();
    if (!packet.startsWith("42")) return;
    const [name, message] = JSON.parse(packet.slice(2));
    if (name === "ready") {
      this.seq = message.streams[this.stream]?.seq ?? 0;
      if (!this.isReady) readyTime.add(Date.now() - this.began);
      this.isReady = true;
      this.settle?.(undefined);
    } else if (typeof message.seq === "number") {
      eventDelay.add(Math.max(0, Date.now() - Date.parse(message.time)));
      received.add(1);
      if (message.seq !== this.seq + 1) outOfOrder.add(1);
      this.seq = message.seq;
    }
  }

  close() {
    this.isLeaving = true;
    this.socket.close();
  }
}
