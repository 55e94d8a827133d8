/** Requests that try a password: which account's failures they count against, and how many logins run at once. */
import type { ServerResponse } from "node:http";
import type { ServiceBroker } from "moleculer";
import { Problem, retryLater } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { TriedAccount } from "./rate-limit.ts";

/** Logins that run at once in one gateway: about as many as can be hashed before their clients give up. */
const MAX_LOGINS = 50;
/** Seconds after which a login that found no slot may come again. */
const LOGIN_RETRY_S = 5;
/** UTF-16 units of a login: no account has a longer one. */
const MAX_LOGIN_LENGTH = 254;
/** A user name that no account can have: it is too short. */
const NOBODY = "-";

type Params = Record<string, unknown>;

/** Finds the account that a request tries a password at; null where its params name none. */
export type FindAttempt = (
  broker: ServiceBroker,
  params: Params,
  actor: Actor | null | undefined,
) => Promise<TriedAccount | null>;

/**
 * The account that a login names. Both names of an account, its e-mail address and its user name, share one count.
 * @param accountOf the id of the account with this name, null where there is none
 */
export const atLogin =
  (accountOf: (broker: ServiceBroker, name: string) => Promise<string | null>): FindAttempt =>
  async (broker, params) => {
    const login = params.login ?? params.email;
    if (typeof login !== "string" || login.length > MAX_LOGIN_LENGTH) return null;
    const name = login.trim();
    return { name, account: (await accountOf(broker, name)) ?? name };
  };

/** The account of the logged-in user. */
export const atOwnAccount: FindAttempt = async (_broker, _params, actor) =>
  actor ? { name: null, account: actor.id } : null;

/** The same login at an account that does not exist: it fails like any other and as late, and no password is compared. */
export const atNobody = (params: Params): Params => ({
  ...params,
  ...(params.login === undefined ? { email: NOBODY } : { login: NOBODY }),
});

/** Bounds the logins that run at once, so that a storm of them is refused before it costs a query. */
export class LoginSlots {
  #taken = 0;

  /**
   * Takes a slot until the response is closed.
   * @throws Problem overloaded; malformed-request for a client that is gone, since nothing would free its slot
   */
  take(response: ServerResponse): void {
    if (response.closed) throw new Problem("malformed-request", "The client closed the connection");
    if (this.#taken >= MAX_LOGINS) throw retryLater("overloaded", "Too many logins at once", LOGIN_RETRY_S);
    this.#taken += 1;
    response.once("close", () => (this.#taken -= 1));
  }
}
