/** The whole system in a process of its own, on a Postgres of its own that goes with it. It listens on 127.0.0.1 alone. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../local/ports.ts";
import { startPostgres } from "../local/postgres.ts";
import { ProcessGroup } from "../local/process-group.ts";
import { migrate } from "../migrations/migrate.ts";

export const PASSWORD = "bench bench bench";

interface RequestOptions {
  token?: string;
  body?: object;
}

/** A client of the API that the bench starts. */
export interface ApiClient {
  request(method: string, path: string, options?: RequestOptions): Promise<Response>;
  /** The body of a success. @throws Error for any other status */
  must<Body>(method: string, path: string, options?: RequestOptions): Promise<Body>;
  /** A new user, logged in. */
  register(username: string): Promise<{ id: string; token: string }>;
}

export interface System extends ApiClient {
  databaseUrl: string;
  stop(): Promise<void>;
}

export function clientOf(port: number | string): ApiClient {
  const request: System["request"] = (method, path, { token, body } = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: {
        "Content-Type": "application/json",
        ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const must: System["must"] = async <Body>(method: string, path: string, options?: RequestOptions) => {
    const response = await request(method, path, options);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Body;
  };
  return {
    request,
    must,
    async register(username) {
      const account = { email: `${username}@example.com`, username, password: PASSWORD };
      const { id } = await must<{ id: string }>("POST", "/auth/register", { body: account });
      const login = { login: username, password: PASSWORD };
      const { access_token } = await must<{ access_token: string }>("POST", "/auth/login", { body: login });
      return { id, token: access_token };
    },
  };
}

/**
 * @param env of the process, beside what every bench sets: a database, a port, no rate limits
 * @returns also the origin that gateway and notifier listen at
 */
export async function startSystem(env: Record<string, string>): Promise<System & { origin: string }> {
  const dir = await mkdtemp(join(tmpdir(), "taskwire-bench-"));
  // Postgres never runs as root: its own user must reach the folder.
  await chmod(dir, 0o755);
  const postgres = await startPostgres({ dir: join(dir, "postgres"), durable: false });
  const lines: string[] = [];
  const group = new ProcessGroup({
    command: process.execPath,
    args: [new URL("../main.ts", import.meta.url).pathname],
    out: (_name, line) => {
      lines.push(line);
      if (/WARN|ERROR|FATAL/.test(line)) console.error(line);
    },
  });
  async function stop(): Promise<void> {
    await group.stopAll();
    await postgres.stop();
    await rm(dir, { recursive: true, force: true });
  }
  const port = String(await freePort());
  try {
    await migrate(postgres.url);
    const child = group.start({
      name: "taskwire",
      env: { DATABASE_URL: postgres.url, PORT: port, RATE_LIMIT: "off", ...env },
    });
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", () =>
        reject(new Error(`Taskwire ended before it served:\n${lines.slice(-5).join("\n")}`)),
      );
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { databaseUrl: postgres.url, origin: `http://127.0.0.1:${port}`, ...clientOf(port), stop };
}

/** @param share 0.95 for the 95th percentile */
export const percentile = (times: number[], share: number): number =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length * share)] ?? NaN;
