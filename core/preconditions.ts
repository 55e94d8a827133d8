import { Problem } from "./errors.ts";
import type { Conditions } from "./kit.ts";

/**
 * Whether the resource still has a version that the request names (RFC 9110 §13.1.1). Asked once it is clear that the
 * caller may do this, and before what the resource's state has to say.
 * @throws Problem precondition-failed
 */
export function mustMatch({ ifMatch }: Conditions, version: number): void {
  if (ifMatch !== null && !ifMatch.includes(version))
    throw new Problem(
      "precondition-failed",
      `The resource changed after you read it: its ETag is now "${version}", which If-Match does not list`,
    );
}
