/** `k6/websockets`, over ws: as much of a browser's WebSocket as the scripts use. */
import { WebSocket as Ws } from "ws";
import type { Context } from "./virtual-user.ts";

/** `timestamp` in milliseconds since 1970. */
export interface MessageEvent {
  type: "message";
  data: string;
  timestamp: number;
}
export interface ErrorEvent {
  type: "error";
  error: string;
  timestamp: number;
}
export interface WebSocketParams {
  headers?: Record<string, string>;
  tags?: Record<string, string>;
}
export interface RunnerSocket {
  readonly readyState: number;
  onopen: () => void;
  onmessage: (event: MessageEvent) => void;
  onclose: () => void;
  onerror: (event: ErrorEvent) => void;
  send(data: string): void;
  close(): void;
}
export interface WebSocketsModule {
  WebSocket: new (url: string, protocols?: null, params?: WebSocketParams) => RunnerSocket;
}

const ignore = (): void => {};

export function webSocketsModule(vu: Context): WebSocketsModule {
  class WebSocket implements RunnerSocket {
    onopen: () => void = ignore;
    onmessage: (event: MessageEvent) => void = ignore;
    onclose: () => void = ignore;
    onerror: (event: ErrorEvent) => void = ignore;
    readonly #socket: Ws;
    readonly #tags: Record<string, string>;

    constructor(url: string, _protocols: null = null, { headers = {}, tags = {} }: WebSocketParams = {}) {
      const began = performance.now();
      this.#tags = { ...vu.tags(), ...tags };
      this.#socket = new Ws(url, { headers, perMessageDeflate: false, skipUTF8Validation: true });
      const forget = vu.onEnd(() => this.#socket.terminate());
      this.#add("ws_sessions", 1);
      this.#socket.on("open", () => {
        this.#add("ws_connecting", performance.now() - began);
        vu.callback(() => this.onopen());
      });
      this.#socket.on("message", (data: Buffer) => {
        this.#add("ws_msgs_received", 1);
        this.#add("data_received", data.length);
        vu.callback(() => this.onmessage({ type: "message", data: data.toString(), timestamp: Date.now() }));
      });
      this.#socket.on("error", ({ message }) =>
        vu.callback(() => this.onerror({ type: "error", error: message, timestamp: Date.now() })),
      );
      this.#socket.on("close", () => {
        forget();
        this.#add("ws_session_duration", performance.now() - began);
        vu.callback(() => this.onclose());
      });
    }

    get readyState(): number {
      return this.#socket.readyState;
    }

    send(data: string): void {
      this.#add("ws_msgs_sent", 1);
      this.#add("data_sent", Buffer.byteLength(data));
      this.#socket.send(data);
    }

    close(): void {
      this.#socket.close();
    }

    #add(metric: string, value: number): void {
      vu.metrics.add(metric, value, this.#tags);
    }
  }
  return { WebSocket };
}
