/**
 * What the Node runner offers of k6's modules, for `tsc -p loadtest/runner`: it compiles the scripts against this file,
 * as `tsc -p loadtest` does against @types/k6. A script that passes both runs in both.
 */
declare const __ENV: Record<string, string>;

declare module "k6" {
  type Core = import("./modules.ts").CoreModule;
  export const check: Core["check"];
  export const fail: Core["fail"];
}
declare module "k6/http" {
  const http: import("./http.ts").HttpModule;
  export default http;
}
declare module "k6/metrics" {
  type Handles = import("./modules.ts").MetricsModule;
  export const Counter: Handles["Counter"];
  export const Gauge: Handles["Gauge"];
  export const Rate: Handles["Rate"];
  export const Trend: Handles["Trend"];
}
declare module "k6/execution" {
  const execution: import("./modules.ts").ExecutionModule;
  export default execution;
}
declare module "k6/timers" {
  export const setTimeout: import("./modules.ts").TimersModule["setTimeout"];
}
declare module "k6/websockets" {
  export const WebSocket: import("./websockets.ts").WebSocketsModule["WebSocket"];
}
