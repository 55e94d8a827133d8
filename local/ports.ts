import { createHash, randomInt } from "node:crypto";
import { createServer } from "node:net";

/**
 * Below the range of outgoing ports (Linux 32768 and up, others 49152): in that range a client that retries against a
 * stopped server one day gets the server's own port, connects to itself and keeps the port for good.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;

/**
 * A free port of 127.0.0.1: `preferred` if that is free, else a random one. Another process can take it before the caller
 * does, so callers try again. Throws when no port is free.
 */
export async function freePort(preferred = randomInt(LOWEST_PORT, HIGHEST_PORT)): Promise<number> {
  let port = preferred;
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await isFree(port)) return port;
    port = randomInt(LOWEST_PORT, HIGHEST_PORT);
  }
  throw new Error(`no free port found between ${LOWEST_PORT} and ${HIGHEST_PORT} on 127.0.0.1`);
}

/** The same port for the same text, so that a URL that a user wrote down stays valid. */
export function portFor(text: string): number {
  return (
    LOWEST_PORT + (createHash("sha256").update(text).digest().readUInt32BE() % (HIGHEST_PORT - LOWEST_PORT))
  );
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ host: "127.0.0.1", port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
