import { createServer } from "node:net";
import type { Config } from "../core/config.ts";
import { hostAndPort } from "../core/origin.ts";

/** A port that a server is about to listen on, and the variable that sets it. */
export interface WantedPort {
  variable: string;
  port: number;
}

/** The ports that a node with this configuration listens on. */
export function portsOf(config: Config): WantedPort[] {
  const runs = (name: "api-gateway" | "notifier"): boolean => config.SERVICES.includes(name);
  return [
    ...(runs("api-gateway") ? [{ variable: "PORT", port: config.PORT }] : []),
    // On a node with the gateway the notifier shares its port.
    ...(runs("notifier") && !runs("api-gateway")
      ? [{ variable: "NOTIFIER_PORT", port: config.NOTIFIER_PORT }]
      : []),
    ...(config.OPS_PORT === 0 ? [] : [{ variable: "OPS_PORT", port: config.OPS_PORT }]),
  ];
}

/** One line that says what is wrong with the address, and what to set. */
function refusal(code: string | undefined, host: string, { variable, port }: WantedPort): string {
  switch (code) {
    case "EADDRINUSE":
      return `port ${port} is taken (${hostAndPort(host, port)}): set ${variable} to a free one, or stop the program that listens there`;
    case "EACCES":
      return `port ${port} may not be taken by this user: set ${variable} to one above 1023`;
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EINVAL":
      return `HOST ${host} is no address of this machine: set HOST to 127.0.0.1, or to 0.0.0.0 for all addresses`;
    default:
      return `port ${port} at ${host} can't be taken (${code}): see HOST and ${variable}`;
  }
}

/**
 * Takes each port for a moment before the start costs time, so that a start fails in its first step and not in its last.
 * @throws Error with one line that says which variable to set
 */
export async function mustBeFree(host: string, wanted: WantedPort[]): Promise<void> {
  for (const want of wanted) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const probe = createServer();
    probe.once("error", ({ code }: NodeJS.ErrnoException) => reject(new Error(refusal(code, host, want))));
    probe.listen({ host, port: want.port, exclusive: true }, () => probe.close(() => resolve()));
    await promise;
  }
}
