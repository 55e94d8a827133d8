export interface NatsOptions {
  servers: string[];
  user?: string;
  pass?: string;
}

/**
 * NATS' own client takes the servers of `NATS_URL` (several are separated by commas) and their credentials apart, and
 * not out of a URL. Characters that a URL can't hold are percent-encoded in it (RFC 3986).
 */
export function natsOptions(natsUrl: string): NatsOptions {
  const urls = natsUrl.split(",").map((url) => new URL(url.trim()));
  const { username = "", password = "" } = urls.find(({ username }) => username !== "") ?? {};
  return {
    servers: urls.map(({ host }) => host),
    ...(username !== "" && { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
  };
}
