import { newId } from "../../core/ids.ts";
import { type Answer, bodyOf, type Wire } from "./answer.ts";
import { mustConform } from "./conformance.ts";

export type { Answer, Wire };

export interface Person {
  id: string;
  username: string;
  email: string;
  token: string;
  refreshToken: string;
  /** The API as this person. */
  api: Api;
}

export const PASSWORD = "correct horse battery";

/** REST as a client uses it. Every response must conform to the OpenAPI document. */
export class Api {
  readonly url: string;
  readonly #token: string | undefined;

  constructor(url: string, token?: string) {
    this.url = url;
    this.#token = token;
  }

  as(token: string): Api {
    return new Api(this.url, token);
  }

  async request(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...(this.#token !== undefined && { Authorization: `Bearer ${this.#token}` }),
        // No pooled connections: they would outlive the test.
        Connection: "close",
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer = {
      status: response.status,
      headers: response.headers,
      body: bodyOf(response.headers, text),
    };
    mustConform(method, path, answer);
    return answer;
  }

  get = (path: string, headers?: Record<string, string>) => this.request("GET", path, undefined, headers);
  post = (path: string, body?: unknown, headers?: Record<string, string>) =>
    this.request("POST", path, body, headers);
  put = (path: string, body?: unknown, headers?: Record<string, string>) =>
    this.request("PUT", path, body, headers);
  patch = (path: string, body?: unknown, headers?: Record<string, string>) =>
    this.request("PATCH", path, body, headers);
  delete = (path: string, headers?: Record<string, string>) =>
    this.request("DELETE", path, undefined, headers);

  /** A request that must succeed before the tested one. @returns the body */
  async must(method: string, path: string, body?: unknown): Promise<Wire> {
    const answer = await this.request(method, path, body);
    if (answer.status >= 400)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** A new user, logged in. */
  async person(name = "user"): Promise<Person> {
    const username = `${name}-${newId().slice(-12)}`;
    const email = `${username}@example.com`;
    await this.must("POST", "/auth/register", { email, username, password: PASSWORD });
    const login = await this.must("POST", "/auth/login", { login: username, password: PASSWORD });
    const token = login.access_token as string;
    return {
      id: login.user.id,
      username,
      email,
      token,
      refreshToken: login.refresh_token,
      api: this.as(token),
    };
  }
}
