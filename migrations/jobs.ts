import type pg from "pg";
import { getConstructionPlans, getMigrationPlans } from "pg-boss";
import packageJson from "pg-boss/package.json" with { type: "json" };
import { JOBS_SCHEMA } from "../mixins/job-queues.ts";

/** The only version of its schema that this pg-boss works with. */
const SCHEMA_VERSION = packageJson.pgboss.schema;

/**
 * Brings pg-boss' schema to the version that the nodes need, by pg-boss' own SQL, in one transaction.
 * @returns whether anything changed
 */
export async function migrateJobs(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ installed: boolean }>(
    `SELECT to_regclass('${JOBS_SCHEMA}.version') IS NOT NULL AS installed`,
  );
  if (rows[0]?.installed !== true) {
    await client.query(getConstructionPlans(JOBS_SCHEMA));
    return true;
  }
  const found = await client.query<{ version: number }>(`SELECT version FROM ${JOBS_SCHEMA}.version`);
  const version = found.rows[0]?.version ?? 0;
  if (version >= SCHEMA_VERSION) return false;
  await client.query(getMigrationPlans(JOBS_SCHEMA, version));
  return true;
}
