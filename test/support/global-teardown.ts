import { rm } from "node:fs/promises";
import { servers } from "./servers.ts";

export default async function globalTeardown(): Promise<void> {
  await servers.postgres?.stop();
  if (servers.dir !== undefined) await rm(servers.dir, { recursive: true, force: true });
}
