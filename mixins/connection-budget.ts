/** Whether Postgres has room for all connections that the nodes of a cluster may open. */
import type { ServiceBroker } from "moleculer";
import pg from "pg";
import type { Config } from "../core/config.ts";

/** Milliseconds that the answer may take: it is advice, and nothing waits for it. */
const ANSWER_MS = 3000;

/** The connections that Postgres leaves to roles that are no superusers. */
export async function usableConnections(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ usable: number }>(
    `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable`,
  );
  return rows[0]?.usable ?? 0;
}

/**
 * One line for operators, where nodes may open more connections than Postgres takes.
 * @param most what all nodes may open
 * @param usable what Postgres leaves to them
 */
export const describeShortage = (nodes: number, most: number, usable: number): string =>
  `${nodes} nodes may open ${most} connections to Postgres, which takes ${usable}: raise max_connections, or lower DATABASE_POOL`;

/** What this node, and the others that it knows by now, may open. */
function mostOfAll(broker: ServiceBroker): { nodes: number; most: number } {
  const list = broker.registry.nodes.list({ onlyAvailable: true, withServices: false }) as {
    metadata?: { connections?: number };
  }[];
  const counts = list.flatMap(({ metadata }) => metadata?.connections ?? []);
  return { nodes: counts.length, most: counts.reduce((sum, count) => sum + count, 0) };
}

/** Warns, once a node has started, if the nodes that are there may exhaust Postgres. The last one to come sees all. */
export async function warnOfConnections(broker: ServiceBroker, config: Config): Promise<void> {
  if (config.DATABASE_URL === "") return;
  const client = new pg.Client({
    connectionString: config.DATABASE_URL,
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
    application_name: `taskwire ${config.NODE_ID} start`,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    const usable = await usableConnections(client);
    const { nodes, most } = mostOfAll(broker);
    if (most > usable) broker.logger.warn(describeShortage(nodes, most, usable));
  } catch {
    // A Postgres that is away is reported by those who need it.
  } finally {
    await client.end().catch(() => {});
  }
}
