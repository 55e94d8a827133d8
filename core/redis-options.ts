/** What ioredis takes to find the master that Sentinels know. */
export interface SentinelOptions {
  sentinels: { host: string; port: number }[];
  name: string;
  db: number;
  username?: string;
  password?: string;
  sentinelPassword?: string;
  tls?: object;
  sentinelTLS?: object;
  enableTLSForSentinelMode?: boolean;
  /** Hears of a failover from the Sentinels: a frozen master would not end its connections. */
  failoverDetector: true;
}

const SENTINEL =
  /^(rediss?)\+sentinel:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/?@]+)\/([^/?]+)(?:\/(\d+))?(?:\?sentinel_password=([^&]+))?$/;
const SENTINEL_PORT = 26_379;

/** `host:port`, where the port may be left out. */
function addressOf(text: string): { host: string; port: number } | null {
  if (!URL.canParse(`redis://${text}`)) return null;
  const { hostname, port } = new URL(`redis://${text}`);
  if (hostname === "") return null;
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: port === "" ? SENTINEL_PORT : Number(port) };
}

/**
 * Takes `redis+sentinel://[user:password@]host:port,host:port/name[/database][?sentinel_password=…]` apart. User and
 * password are Redis' own; parts are percent-encoded (RFC 3986).
 * @returns null for another URL
 */
export function sentinelOptions(redisUrl: string): SentinelOptions | null {
  const [, scheme, user = "", password = "", hosts = "", name = "", db = "0", sentinelPassword = ""] =
    SENTINEL.exec(redisUrl) ?? [];
  if (scheme === undefined) return null;
  const sentinels = hosts.split(",").flatMap((host) => addressOf(host) ?? []);
  if (sentinels.length < hosts.split(",").length) return null;
  try {
    return {
      sentinels,
      name: decodeURIComponent(name),
      db: Number(db),
      ...(user !== "" && { username: decodeURIComponent(user) }),
      ...(password !== "" && { password: decodeURIComponent(password) }),
      ...(sentinelPassword !== "" && { sentinelPassword: decodeURIComponent(sentinelPassword) }),
      ...(scheme === "rediss" && { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true }),
      failoverDetector: true,
    };
  } catch {
    return null;
  }
}
