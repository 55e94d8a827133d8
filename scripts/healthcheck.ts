/** The image's health check: whether the node of this container is ready, as `/ready` on its OPS_PORT says. */
import { originOf } from "../core/origin.ts";

/** Less than the check's own timeout in the Dockerfile. */
const PATIENCE_MS = 2000;

const { HOST = "127.0.0.1", OPS_PORT = "0" } = process.env;
const url = `${originOf(HOST, Number(OPS_PORT))}/ready`;
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
  console.log(`${url}: ${response.status} ${await response.text()}`);
  process.exitCode = response.ok ? 0 : 1;
} catch (error) {
  const { message, cause } = error as Error;
  console.log(`${url}: ${cause instanceof Error ? cause.message : message}`);
  process.exitCode = 1;
}
