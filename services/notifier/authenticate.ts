import type { ServiceBroker } from "moleculer";
import { Problem, problemCode } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Tokens } from "../../core/tokens.ts";
import { auth, PERSONAL_TOKEN_PREFIX } from "../auth/auth.contract.ts";

export interface Identity {
  actor: Actor;
  /** Milliseconds since 1970; null for a personal token that does not expire. */
  expiresAt: number | null;
}

/**
 * Verifies the token of a socket: an access token by its signature, a personal token through the auth service.
 * @throws Problem invalid-token; service-unavailable while the auth service does not answer
 */
export async function authenticate(broker: ServiceBroker, tokens: Tokens, token: string): Promise<Identity> {
  if (!token.startsWith(PERSONAL_TOKEN_PREFIX)) return tokens.verify(token);
  try {
    const { actor, expires_at } = await auth.call(broker, "verify_token", { token });
    return { actor, expiresAt: expires_at };
  } catch (error) {
    if (problemCode(error) !== null) throw error;
    // The token is too long, or is not written like a personal token.
    if ((error as Error).name === "ValidationError") throw new Problem("invalid-token");
    throw new Problem("service-unavailable");
  }
}
