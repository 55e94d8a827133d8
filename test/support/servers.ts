import type { LocalPostgres } from "../../local/postgres.ts";

/** The database that test files clone. */
export const TEMPLATE = "taskwire_template";

interface Stoppable {
  stop(): Promise<void>;
}

/** What globalSetup hands to globalTeardown: both run in Jest's own process, which loads this once for each. */
export const servers = ((globalThis as { taskwireServers?: object }).taskwireServers ??= {}) as {
  dir?: string;
  postgres?: LocalPostgres;
  nats?: Stoppable;
  redis?: Stoppable;
};
