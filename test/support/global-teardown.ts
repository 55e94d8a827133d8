import { rm } from "node:fs/promises";
import { servers } from "./servers.ts";

export default async function globalTeardown(): Promise<void> {
  const { postgres, nats, redis, dir } = servers;
  await Promise.all([postgres?.stop(), nats?.stop(), redis?.stop()]);
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
}
