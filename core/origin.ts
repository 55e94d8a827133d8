import { isIPv6 } from "node:net";

/** Addresses that mean "all of this machine's": nobody can visit them. */
const ALL: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** `host:port` as URLs write it, IPv6 in brackets. */
export const hostAndPort = (host: string, port: number): string =>
  `${isIPv6(host) ? `[${host}]` : host}:${port}`;

/** The URL at which this machine reaches a server that listens on `host` and `port`, without a `/` at its end. */
export const originOf = (host: string, port: number): string =>
  `http://${hostAndPort(ALL[host] ?? host, port)}`;

/**
 * The system that a script talks to: the URL of its arguments, else where HOST and PORT of the environment say that it
 * listens. @throws Error in one line, for what is no URL
 */
export function systemOf(argument: string | undefined, env: NodeJS.ProcessEnv): string {
  if (argument === undefined) return originOf(env.HOST || "127.0.0.1", Number(env.PORT || 3000));
  if (!/^https?:\/\//.test(argument) || !URL.canParse(argument))
    throw new Error(`"${argument}" is no URL such as http://127.0.0.1:3000`);
  return argument.replace(/\/+$/, "");
}
