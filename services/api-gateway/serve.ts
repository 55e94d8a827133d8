/** Every request begins and ends here, also one that no route matches. */
import type { ServerResponse } from "node:http";
import type { Service } from "moleculer";
import { arrive } from "./arrival-steps.ts";
import { carryOut } from "./carry-out.ts";
import { countRequest, type Gateway } from "./exchange.ts";
import type { Request } from "./gateway-request.ts";
import { observe } from "./request-log.ts";
import { sendProblem } from "./response.ts";

/**
 * Sends a problem. A request that failed before it was counted costs its address the default budget; one that was refused
 * because there are too many costs nothing, since to count it would be most of its work.
 */
async function fail(
  gateway: Gateway & Service,
  request: Request,
  response: ServerResponse,
  error: unknown,
): Promise<void> {
  let problem = error;
  if (request.counted === undefined && request.isShed !== true)
    await countRequest(gateway, request, "default", null).catch((refusal: unknown) => (problem = refusal));
  sendProblem(gateway.logger, request, response, problem);
}

/** Serves a request. It never rejects. */
export const serve = (
  gateway: Gateway & Service,
  request: Request,
  response: ServerResponse,
): Promise<void> =>
  observe(gateway, request, response, async () => {
    try {
      if (!(await arrive(gateway, request, response))) await carryOut(gateway, request, response);
    } catch (error) {
      await fail(gateway, request, response, error);
    }
  });
