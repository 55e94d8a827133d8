import { createHash, randomInt } from "node:crypto";
import { createServer } from "node:net";

/**
 * Below the range that systems take outgoing ports from (Linux 32768 and up, others 49152): there, a client that
 * retries against a stopped server is one day given the server's own port, connects to itself and keeps it for good.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;

/**
 * A port of 127.0.0.1 on which nobody listens: `preferred` if that is free, else a random one. Between the answer
 * and its use another process can be faster, so callers try again. Throws when no port is free.
 */
export async function freePort(preferred = randomInt(LOWEST, HIGHEST)): Promise<number> {
  let port = preferred;
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await isFree(port)) return port;
    port = randomInt(LOWEST, HIGHEST);
  }
  throw new Error(`no free port found between ${LOWEST} and ${HIGHEST} on 127.0.0.1`);
}

/** The same port for the same text, so that a URL that somebody wrote down goes on being right. */
export function portFor(text: string): number {
  return LOWEST + (createHash("sha256").update(text).digest().readUInt32BE() % (HIGHEST - LOWEST));
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ host: "127.0.0.1", port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
