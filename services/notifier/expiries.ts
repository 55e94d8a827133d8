import type { ClientSocket } from "./sockets.ts";

type Expiring = Pick<ClientSocket, "disconnected"> & { data: Pick<ClientSocket["data"], "expiresAt"> };

/** Sockets by the second in which their token expires: of thousands each sweep looks at those alone that are due. */
export class Expiries<Of extends Expiring = ClientSocket> {
  readonly #bySecond = new Map<number, Set<Of>>();

  /** A socket speaks for a token from now on. @param at milliseconds since 1970; null for a token that does not expire */
  set(socket: Of, at: number | null): void {
    this.forget(socket);
    socket.data.expiresAt = at;
    if (at === null || socket.disconnected) return;
    const second = secondOf(at);
    const sockets = this.#bySecond.get(second);
    if (sockets === undefined) this.#bySecond.set(second, new Set([socket]));
    else sockets.add(socket);
  }

  /** A socket is gone. */
  forget(socket: Of): void {
    const { expiresAt } = socket.data;
    if (expiresAt === null) return;
    const second = secondOf(expiresAt);
    const sockets = this.#bySecond.get(second);
    sockets?.delete(socket);
    if (sockets?.size === 0) this.#bySecond.delete(second);
  }

  /** The sockets whose token has expired. @param now milliseconds since 1970 */
  due(now = Date.now()): Of[] {
    const due: Of[] = [];
    for (const [second, sockets] of this.#bySecond)
      if (second <= secondOf(now))
        for (const socket of sockets) if ((socket.data.expiresAt ?? Infinity) <= now) due.push(socket);
    return due;
  }
}

const secondOf = (ms: number): number => Math.floor(ms / 1000);
