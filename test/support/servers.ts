import type { LocalPostgres } from "../../local/postgres.ts";

/** The database that test files clone. */
export const TEMPLATE = "taskwire_template";

/** What globalSetup hands to globalTeardown. Jest loads each of the two with modules of its own. */
export const servers = ((globalThis as { taskwireServers?: object }).taskwireServers ??= {}) as {
  dir?: string;
  postgres?: LocalPostgres;
};
