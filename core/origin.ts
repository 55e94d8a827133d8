import { isIPv6 } from "node:net";

/** Addresses that stand for every address of this machine, and the one that a client connects to instead. */
const WILDCARDS: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** `host:port` as URLs write it, IPv6 in brackets. */
export const hostAndPort = (host: string, port: number): string =>
  `${isIPv6(host) ? `[${host}]` : host}:${port}`;

/** The URL at which this machine reaches a server that listens on `host` and `port`, without a trailing `/`. */
export const originOf = (host: string, port: number): string =>
  `http://${hostAndPort(WILDCARDS[host] ?? host, port)}`;

/**
 * The URL of the Taskwire that a script talks to: the script's argument, else the address in HOST and PORT.
 * @throws Error in one line when the argument is no URL
 */
export function taskwireUrl(argument: string | undefined, env: NodeJS.ProcessEnv): string {
  if (argument === undefined) return originOf(env.HOST || "127.0.0.1", Number(env.PORT || 3000));
  if (!/^https?:\/\//.test(argument) || !URL.canParse(argument))
    throw new Error(`"${argument}" is no URL such as http://127.0.0.1:3000`);
  return argument.replace(/\/+$/, "");
}
