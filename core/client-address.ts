import type { IncomingMessage } from "node:http";
import { isIPv4, isIPv6 } from "node:net";
import type { Config } from "./config.ts";

/** `203.0.113.7:4711` and `[2001:db8::1]:4711`, as some proxies write them. */
const WITH_PORT = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d+)?$/;

/** The eight groups of an IPv6 address, in hexadecimal without leading zeros. */
function groupsOf(address: string): string[] {
  const compressed = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = compressed.split("::").map((part) => part.split(":").filter(Boolean));
  return [...head, ...Array<string>(8 - head.length - tail.length).fill("0"), ...tail];
}

/** The first `prefix` bits of an address, as CIDR writes them (RFC 4291 §2.3). */
function networkOf(groups: string[], prefix: number): string {
  const masked = groups.slice(0, Math.ceil(prefix / 16)).map((group, at) => {
    const beyond = Math.max(0, 16 * (at + 1) - prefix);
    return ((parseInt(group, 16) >> beyond) << beyond).toString(16);
  });
  return `${masked.join(":")}${masked.length < 8 ? "::" : ""}/${prefix}`;
}

/**
 * One name for one client: an IPv4 address, also where IPv6 carries it (RFC 4291 §2.5.5.2), or the network that an IPv6
 * client can choose its addresses from (RFC 6177). Null when `text` is no address.
 * @param prefix bits of that network, IPV6_PREFIX
 */
export function normalizeAddress(text: string, prefix: number): string | null {
  if (isIPv4(text)) return text;
  const trimmed = text.trim();
  const [, inBrackets, beforePort] = WITH_PORT.exec(trimmed) ?? [];
  const address = (inBrackets ?? beforePort ?? trimmed).replace(/%.*$/, "");
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return null;
  const groups = groupsOf(address);
  const carriesIPv4 = groups.slice(0, 6).join(":") === "0:0:0:0:0:ffff";
  if (!carriesIPv4) return networkOf(groups, prefix);
  return groups
    .slice(6)
    .map((group) => parseInt(group, 16))
    .flatMap((pair) => [pair >> 8, pair & 255])
    .join(".");
}

/**
 * The client's address: the connection's peer or, behind TRUST_PROXY proxies of our own that each append an address to
 * X-Forwarded-For, the address that the outermost of them appended. Entries further left come from the client and are
 * ignored. Where a proxy appended no address, the next nearer proxy's entry counts.
 * @param config TRUST_PROXY 0 ignores the header
 */
export function clientAddress(
  { headers, socket }: { headers: IncomingMessage["headers"]; socket: { remoteAddress?: string } },
  { TRUST_PROXY, IPV6_PREFIX }: Pick<Config, "TRUST_PROXY" | "IPV6_PREFIX">,
): string {
  const forwarded = [headers["x-forwarded-for"] ?? []].flat().join(",");
  const path = [...forwarded.split(","), socket.remoteAddress ?? ""].slice(-1 - TRUST_PROXY);
  return (
    path.map((entry) => normalizeAddress(entry, IPV6_PREFIX)).find((address) => address !== null) ?? "unknown"
  );
}
