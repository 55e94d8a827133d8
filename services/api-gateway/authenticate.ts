import type { IncomingMessage } from "node:http";
import { LRUCache } from "lru-cache";
import { Problem, problemCode } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { RevocationFeed } from "../../mixins/revocations.ts";
import { PERSONAL_TOKEN_PREFIX } from "../auth/auth.contract.ts";

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/** Verified tokens that the gateway remembers: about as many as are in use at once. */
const MAX_CACHED = 10_000;
/** Milliseconds after which a personal token is verified again. A changed role ends it earlier, by revocation. */
const PERSONAL_TTL_MS = 60_000;

/** `WWW-Authenticate` of a 401 (RFC 6750 §3). */
export const challenge = (error?: string) => ({
  headers: {
    "WWW-Authenticate": `Bearer realm="taskwire"${error === undefined ? "" : `, error="${error}"`}`,
  },
});

/** The caller that a token stands for. */
export interface VerifiedToken {
  actor: Actor;
  /** Milliseconds since 1970; null for a personal token that does not expire. */
  expiresAt: number | null;
}

const isPersonal = (token: string | undefined): token is string =>
  token?.startsWith(PERSONAL_TOKEN_PREFIX) === true;

type WithHeaders = Pick<IncomingMessage, "headers">;

const tokenIn = ({ headers }: WithHeaders): string | undefined =>
  BEARER.exec(headers.authorization ?? "")?.[1];

/** Identifies callers. It verifies a token once, and remembers it until it expires or is revoked. */
export class Authenticator {
  /** By the whole `Authorization`: a token that is known needs not be parsed. */
  readonly #verified = new LRUCache<string, VerifiedToken>({ max: MAX_CACHED });
  readonly #tokens: Tokens;
  readonly #revoked: Pick<RevocationFeed, "has">;
  readonly #verifyPersonal: (token: string) => Promise<VerifiedToken>;

  constructor(
    tokens: Tokens,
    revoked: Pick<RevocationFeed, "has">,
    verifyPersonal: (token: string) => Promise<VerifiedToken>,
  ) {
    this.#tokens = tokens;
    this.#revoked = revoked;
    this.#verifyPersonal = verifyPersonal;
  }

  /**
   * The caller, by the request's bearer token (RFC 6750 §2.1).
   * @throws Problem unauthenticated without one; invalid-token
   */
  async authenticate(request: WithHeaders): Promise<Actor> {
    const { authorization } = request.headers;
    // Credentials of another scheme count as none (RFC 6750 §3.1).
    if (authorization === undefined || !/^Bearer\b/i.test(authorization))
      throw new Problem("unauthenticated", undefined, challenge());
    try {
      return this.#stillValid(this.#verified.get(authorization) ?? (await this.#verify(request)));
    } catch (error) {
      if (problemCode(error) !== "invalid-token") throw error;
      throw new Problem("invalid-token", (error as Problem).message, challenge("invalid_token"));
    }
  }

  /** When the token of a request expires, in milliseconds since 1970; null for never. After `authenticate`. */
  expiryOf({ headers }: WithHeaders): number | null {
    return this.#verified.get(headers.authorization ?? "")?.expiresAt ?? null;
  }

  /** The caller, as far as this gateway knows by itself: null without a token, and for one that a service must verify. */
  known(request: WithHeaders): Actor | null {
    const { authorization } = request.headers;
    if (authorization === undefined || this.mustAsk(request)) return null;
    try {
      return this.#stillValid(this.#verified.get(authorization) ?? this.#verifySigned(request));
    } catch {
      return null;
    }
  }

  /** Whether another service must verify the token: a question that is counted before it is asked. */
  mustAsk(request: WithHeaders): boolean {
    return !this.#verified.has(request.headers.authorization ?? "") && isPersonal(tokenIn(request));
  }

  /** @throws Problem invalid-token */
  #stillValid({ actor, expiresAt }: VerifiedToken): Actor {
    if (expiresAt !== null && expiresAt <= Date.now())
      throw new Problem("invalid-token", "The token has expired");
    if (this.#revoked.has(actor.session)) throw new Problem("invalid-token", "The token was revoked");
    return actor;
  }

  #verifySigned(request: WithHeaders): VerifiedToken {
    const token = tokenIn(request);
    if (token === undefined)
      throw new Problem("invalid-token", "Send `Authorization: Bearer <access_token>`");
    const verified = this.#tokens.verify(token);
    this.#verified.set(request.headers.authorization as string, verified);
    return verified;
  }

  async #verify(request: WithHeaders): Promise<VerifiedToken> {
    const token = tokenIn(request);
    if (!isPersonal(token)) return this.#verifySigned(request);
    const verified = await this.#verifyPersonal(token);
    this.#verified.set(request.headers.authorization as string, verified, { ttl: PERSONAL_TTL_MS });
    return verified;
  }
}
