// One request of the API, counted under the name of its route.
import { check } from "k6";
import http from "k6/http";
import { setTimeout } from "k6/timers";
import { BASE_URL, FORWARDED } from "./settings.js";

/** @typedef {{ index: number, id: string, username: string, token: string, loggedInAt: number }} User */

export const PASSWORD = "load load load load";

/** @param {number} ms */
export const pause = (ms) => new Promise((resolve) => setTimeout(() => resolve(undefined), ms));

/**
 * The headers of a user who comes from an address of its own, if the system believes that.
 * @param {number} index
 * @param {string} [token]
 * @returns {Record<string, string>}
 */
export function headersOf(index, token) {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json" };
  if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
  if (FORWARDED)
    headers["X-Forwarded-For"] = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
  return headers;
}

/**
 * Sends a request, and checks its status.
 * @param {string} name its route, such as `GET /tasks/{id}`: metrics have it as the tag `name`
 * @param {string} path
 * @param {{ index: number, token?: string }} user
 * @param {object} [body]
 * @param {number[]} expected
 */
export async function call(name, path, user, body, expected = [200, 201]) {
  const method = name.split(" ")[0] ?? "GET";
  const response = await http.asyncRequest(
    method,
    BASE_URL + path,
    body === undefined ? null : JSON.stringify(body),
    {
      headers: headersOf(user.index, user.token),
      tags: { name },
      responseCallback: http.expectedStatuses(...expected),
    },
  );
  check(response, {
    [`${name} answers ${expected.join(" or ")}`]: ({ status }) => expected.includes(status),
  });
  return response;
}

/**
 * A request that setup needs: it waits where the rate limit says so.
 * @param {string} name
 * @param {string} path
 * @param {{ index: number, token?: string }} user
 * @param {object} [body]
 * @param {number[]} expected
 * @returns {Promise<any>} the body
 */
export async function need(name, path, user, body, expected = [200, 201]) {
  for (;;) {
    const response = await call(name, path, user, body, [...expected, 429]);
    if (response.status !== 429) {
      if (expected.includes(response.status)) return response.body === "" ? null : response.json();
      throw new Error(`${name}: ${response.status} ${response.error || String(response.body)}`);
    }
    await pause(1000 * Number(response.headers["Retry-After"] ?? 1));
  }
}
