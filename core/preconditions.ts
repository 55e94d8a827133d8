import { Problem } from "./errors.ts";
import type { Conditions } from "./kit.ts";

/**
 * The resource must still have a version that the request names (RFC 9110 §13.1.1). Commands check this after the caller's
 * rights and before the resource's state.
 * @throws Problem precondition-failed
 */
export function mustMatch({ ifMatch }: Conditions, version: number): void {
  if (ifMatch !== null && !ifMatch.includes(version))
    throw new Problem(
      "precondition-failed",
      `The resource changed after you read it: its ETag is now "${version}", which If-Match does not list`,
    );
}
