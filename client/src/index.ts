/** @taskwire/client: REST, realtime and live stores of a Taskwire server. */
export { Client, createClient, type Filter, type Heard, type ListenerName } from "./client.ts";
export type { components, paths } from "./api.ts";
export { codeOf, NetworkError, type Problem, ProblemError, unwrap } from "./problem.ts";
export { memoryStorage, webStorage } from "./storage.ts";
export { CODES } from "./types.ts";
export type * from "./types.ts";
export { STATUSES, TRANSITIONS } from "./statuses.ts";
