/** What the log says of sockets: a line for each handshake, for each request, and for each socket's end. */
import { type ProblemCode, PROBLEMS } from "../../core/errors.ts";
import type { Log } from "../../core/log.ts";
import { OwnFields } from "../../core/redact.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { ClientSocket } from "./sockets.ts";

/** How a handshake ended. */
export type Outcome = "admitted" | "refused" | "failed";

const since = (beganAt: number): number => Math.round((performance.now() - beganAt) * 100) / 100;

/** What a line says of a socket: ids, and words of the code. */
const fieldsOf = (
  { id, data }: ClientSocket,
  more: Record<string, string | number | undefined>,
): OwnFields => {
  // A client that was refused may be nobody.
  const { actor } = data as Partial<ClientSocket["data"]>;
  return new OwnFields({ socket: id, user_id: actor?.id, ...more });
};

export class SocketLog {
  readonly #log: Log<"debug" | "info" | "warn">;
  /** Lines of handshakes that were not admitted: strangers decide how many there are. */
  readonly #refusals = new TokenBucket();
  #unlogged = 0;

  constructor(log: Log<"debug" | "info" | "warn">) {
    this.#log = log;
  }

  /** @param problem null for an admission @param beganAt by `performance.now()` */
  handshake(socket: ClientSocket, outcome: Outcome, problem: ProblemCode | null, beganAt: number): void {
    const { name: transport } = socket.conn.transport;
    const about = { outcome, transport, ms: since(beganAt) };
    if (problem === null) return this.#log.info(fieldsOf(socket, about), "socket handshake");
    // A bucket without points is not asked for more: its debt would keep it silent after the flood.
    if (this.#refusals.left() < 1) return void (this.#unlogged += 1);
    this.#refusals.spend(1);
    const unlogged = this.#unlogged === 0 ? undefined : this.#unlogged;
    this.#unlogged = 0;
    const level = PROBLEMS[problem].status < 500 ? "info" : "warn";
    this.#log[level](fieldsOf(socket, { ...about, problem, unlogged }), "socket handshake");
  }

  /** @param problem null for a success */
  request(socket: ClientSocket, request: string, problem: ProblemCode | null, beganAt: number): void {
    const about = { request, problem: problem ?? undefined, ms: since(beganAt) };
    this.#log.debug(fieldsOf(socket, about), "socket request");
  }

  /** @param openedAt by `performance.now()` */
  end(socket: ClientSocket, reason: string, openedAt: number): void {
    const seconds = Math.round(since(openedAt) / 100) / 10;
    this.#log.info(fieldsOf(socket, { reason, seconds }), "socket end");
  }
}
