import type { ServiceContract } from "../../core/kit.ts";

/** Nobody calls the gateway over the broker: it speaks HTTP. */
export interface ApiGatewayContract extends ServiceContract {
  name: "api-gateway";
  actions: Record<never, never>;
}
