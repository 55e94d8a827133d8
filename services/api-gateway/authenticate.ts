import type { IncomingMessage } from "node:http";
import { Problem } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Tokens } from "../../core/tokens.ts";

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/** RFC 6750 §3. */
export const challenge = (error?: string) => ({
  headers: {
    "WWW-Authenticate": `Bearer realm="taskwire"${error === undefined ? "" : `, error="${error}"`}`,
  },
});

/**
 * Who asks, by the request's bearer token (RFC 6750 §2.1).
 * @throws Problem unauthenticated without one; invalid-token
 */
export function authenticate({ headers }: Pick<IncomingMessage, "headers">, tokens: Tokens): Actor {
  const { authorization } = headers;
  // Another scheme is no credentials of ours (RFC 6750 §3.1).
  if (authorization === undefined || !/^Bearer\b/i.test(authorization))
    throw new Problem("unauthenticated", undefined, challenge());
  const token = BEARER.exec(authorization)?.[1];
  try {
    if (token === undefined)
      throw new Problem("invalid-token", "Send `Authorization: Bearer <access_token>`");
    return tokens.verify(token).actor;
  } catch (error) {
    throw new Problem("invalid-token", (error as Problem).message, challenge("invalid_token"));
  }
}
