/** Every kind of write of the API: docs/openapi.json names them. */
import { accountWrites } from "./account-writes.ts";
import { projectWrites } from "./project-writes.ts";
import { taskWrites } from "./task-writes.ts";
import type { Writes } from "./writer.ts";

export const WRITES: Writes = { ...taskWrites, ...projectWrites, ...accountWrites };
