/** The size of message that NATS must accept, in bytes: local/nats.conf says why. */
export const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024;

export interface NatsOptions {
  servers: string[];
  user?: string;
  pass?: string;
}

/**
 * The NATS client takes servers and credentials as separate options. `NATS_URL` names one server or several, separated by
 * commas, and percent-encodes characters that a URL can't hold (RFC 3986).
 */
export function natsOptions(natsUrl: string): NatsOptions {
  const urls = natsUrl.split(",").map((url) => new URL(url.trim()));
  const { username = "", password = "" } = urls.find(({ username }) => username !== "") ?? {};
  return {
    servers: urls.map(({ host }) => host),
    ...(username !== "" && { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
  };
}
