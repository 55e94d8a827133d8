/** What all clients that follow streams have in common: how a run drives them, and how they record what they see. */
import type { Position } from "../../core/events.ts";
import { canariesIn, digestOf } from "./digest.ts";
import type { Signal, Transport } from "./recording.ts";
import type { Session, User } from "./world.ts";

export interface Subscriber {
  readonly name: string;
  readonly user: User;
  /** Follows its streams now, or was told that it has none. */
  readonly isConnected: boolean;
  start(): void;
  /** Reads nothing until `resume`. */
  pause(): void;
  resume(): void;
  /** Disconnects until `comeBack`, and keeps its cursors. */
  leave(): void;
  comeBack(): void;
  stop(): void;
}

type OneOfSignal = Signal extends infer One
  ? One extends Signal
    ? Omit<One, "at" | "client" | "connection">
    : never
  : never;

type Frame = { stream: string; seq: number; id: string };

/** Writes down what one client sees. */
export class Recorder {
  readonly #client: string;
  readonly #transport: Transport;
  readonly #signals: Signal[];
  #connection = 0;

  constructor(client: string, transport: Transport, signals: Signal[]) {
    this.#client = client;
    this.#transport = transport;
    this.#signals = signals;
  }

  /** The number of the client's connection. */
  get connection(): number {
    return this.#connection;
  }

  record(signal: OneOfSignal): void {
    const [at, client, connection] = [Date.now(), this.#client, this.#connection];
    this.#signals.push({ at, client, connection, ...signal } as Signal);
  }

  /**
   * A connection began.
   * @param cursors what the client said that it has
   * @param streams what the client can get, where that is not all that its user may read
   */
  opened(session: Session, cursors: Record<string, Position>, streams = session.streams): void {
    this.#connection += 1;
    const { user, id, expiresAt, isPersonal } = session;
    this.record({
      kind: "opened",
      transport: this.#transport,
      user: user.id,
      session: id,
      expires_at: expiresAt,
      cursors,
      ...(isPersonal && { isPersonal }),
      ...(streams !== undefined && { streams }),
    });
  }

  /** @param raw the frame's text, whose canaries are looked for */
  event(frame: Frame, raw: string): void {
    const { stream, seq, id } = frame;
    this.record({ kind: "event", stream, seq, id, digest: digestOf(frame), tags: canariesIn(raw) });
  }

  /** The server refused a token, or a renewal of it. */
  refused(session: Session, code: string, expiresAt = session.expiresAt): void {
    const { id, user, isPersonal } = session;
    const known = { session: id, user: user.id, expires_at: expiresAt };
    this.record({ kind: "refused", code, ...known, ...(isPersonal && { isPersonal }) });
  }
}

/** The code of a problem document. */
export const codeOf = (problem: { type?: string } | null | undefined): string =>
  problem?.type?.split("/").at(-1) ?? "";
