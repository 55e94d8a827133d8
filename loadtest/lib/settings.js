// What a run can be told by environment variables; loadtest/README.md has the table.

/**
 * A number of the environment.
 * @param {string} name
 * @param {number} fallback
 */
export function number(name, fallback) {
  const text = __ENV[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0)
    throw new Error(`${name} is "${text}": set a number, or leave it out`);
  return value;
}

/** @param {string | undefined} text */
const list = (text) => (text ?? "").split(",").filter((item) => item !== "");

/** Where the gateway is. */
export const BASE_URL = (__ENV["BASE_URL"] ?? "http://127.0.0.1:3000").replace(/\/$/, "");
/** Where sockets connect to, in turns. */
export const SOCKET_URLS = list(__ENV["SOCKET_URLS"] ?? BASE_URL);
/** The `/metrics` of all nodes; `off` for a system whose metrics are out of reach. */
export const METRICS_URLS =
  __ENV["METRICS_URLS"] === "off" ? [] : list(__ENV["METRICS_URLS"] ?? `${BASE_URL}/metrics`);
export const METRICS_TOKEN = __ENV["METRICS_TOKEN"] ?? "";
/** Whether each user has an address of its own in `X-Forwarded-For`: for a system with `TRUST_PROXY=1`. */
export const FORWARDED = __ENV["FORWARDED"] === "on";
