/** Connections to Postgres: what each part of a node opens at most, and what a node of some services may open in all. */
import type { Config } from "./config.ts";

/** The most that each part opens, beside the DATABASE_POOL connections of transactions. */
export const CONNECTIONS = {
  /** Single reads share these, and single writes as many (mixins/pipelines.ts). */
  pipelined: 3,
  /** Snapshots that a tasks node holds open, each of one transaction. */
  snapshots: 6,
  /** Slow statements; at most DATABASE_POOL, as the rest of this list. */
  slow: 6,
  /** Of the users service, by Sequelize. */
  models: 5,
  /** pg-boss, of mailer and jobs each. */
  jobs: 2,
} as const;

type Needs = Pick<Config, "SERVICES" | "DATABASE_POOL" | "SMTP_URL">;

/** How many connections to Postgres a node with this configuration opens at most. */
export function connectionsOf({ SERVICES, DATABASE_POOL, SMTP_URL }: Needs): number {
  const runs = (name: Config["SERVICES"][number]): number => (SERVICES.includes(name) ? 1 : 0);
  const { pipelined, slow, models, snapshots, jobs } = CONNECTIONS;
  const upToPool = (count: number): number => Math.min(count, DATABASE_POOL);
  return (
    // What all services of a node share (mixins/database.ts).
    2 * pipelined +
    DATABASE_POOL +
    upToPool(slow) +
    runs("users") * upToPool(models) +
    runs("tasks") * snapshots +
    (runs("jobs") + (SMTP_URL === "" ? 0 : runs("mailer"))) * upToPool(jobs)
  );
}
