import type { ServiceContract } from "../../core/kit.ts";

/** The gateway has no actions for other services: its clients speak HTTP. */
export interface ApiGatewayContract extends ServiceContract {
  name: "api-gateway";
  actions: Record<never, never>;
}
