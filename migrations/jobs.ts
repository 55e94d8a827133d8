import type pg from "pg";
import { getConstructionPlans, getMigrationPlans } from "pg-boss";
import packageJson from "pg-boss/package.json" with { type: "json" };
import { JOBS_SCHEMA } from "../mixins/job-queues.ts";

/** The only version of its schema that this pg-boss works with. */
const SCHEMA_VERSION = packageJson.pgboss.schema;

/**
 * pg-boss' own SQL that brings its schema to the version that the nodes need, in one transaction.
 * @returns null where the schema has that version
 */
export async function jobsMigration(client: pg.Client): Promise<string | null> {
  const { rows } = await client.query<{ installed: boolean }>(
    `SELECT to_regclass('${JOBS_SCHEMA}.version') IS NOT NULL AS installed`,
  );
  if (rows[0]?.installed !== true) return getConstructionPlans(JOBS_SCHEMA);
  const found = await client.query<{ version: number }>(`SELECT version FROM ${JOBS_SCHEMA}.version`);
  const version = found.rows[0]?.version ?? 0;
  return version >= SCHEMA_VERSION ? null : getMigrationPlans(JOBS_SCHEMA, version);
}
