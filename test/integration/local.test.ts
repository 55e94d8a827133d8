import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { connect } from "nats";
import type { NatsConnection } from "nats";
import pg from "pg";
import { natsOptions } from "../../core/nats-options.ts";
import { startNats } from "../../local/nats.ts";
import { freePort } from "../../local/ports.ts";
import { startPostgres } from "../../local/postgres.ts";
import type { LocalPostgres } from "../../local/postgres.ts";
import { ProcessGroup } from "../../local/process-group.ts";
import { startRedis } from "../../local/redis.ts";
import { until } from "../../local/until.ts";
import { processesWith } from "../support/program.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "taskwire-local-"));
  await chmod(folder, 0o755); // for Postgres' user, when we are root
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("Postgres", () => {
  const started: LocalPostgres[] = [];
  afterAll(() => Promise.all(started.map((server) => server.stop())));

  const start = async (dir: string, durable = false): Promise<LocalPostgres> => {
    const server = await startPostgres({ dir: join(folder, dir), durable });
    started.push(server);
    return server;
  };

  test("a cold start answers, on 127.0.0.1 with a password, its data readable by nobody else", async () => {
    const server = await start("main");
    expect(server.reused).toBe(false);
    expect(await query(server.url, "SELECT current_setting('listen_addresses')")).toBe("127.0.0.1");
    expect(await query(server.url, "SELECT lower('ÄÖ') || current_setting('server_encoding')")).toBe(
      "äöUTF8",
    );
    await expect(query(server.url.replace(/:\w+@/, ":wrong@"), "SELECT 1")).rejects.toThrow(/password/);
    expect((await stat(join(server.dir, "data"))).mode & 0o077).toBe(0);
    expect((await stat(join(server.dir, "data", "taskwire.password"))).mode & 0o077).toBe(0);
  });

  test("a second start finds the first one's server, unless that is less durable than wanted", async () => {
    const server = await start("main");
    expect(server).toMatchObject({ reused: true, pid: started[0]!.pid, url: started[0]!.url });
    await expect(start("main", true)).rejects.toThrow(/without fsync/);
  });

  test("release leaves a server to its other clients; stop ends it, and may be repeated", async () => {
    const server = await start("main");
    const client = new pg.Client(server.url);
    client.on("error", () => {});
    await client.connect();
    await server.release();
    expect((await client.query("SELECT 1")).rowCount).toBe(1);
    await server.stop();
    await server.stop();
    await expect(query(server.url, "SELECT 1")).rejects.toThrow(/ECONNREFUSED/);
  });

  test("data and URL survive a stop, and a postmaster that was killed and left its pid file", async () => {
    const before = await start("main");
    await query(before.url, "CREATE TABLE kept AS SELECT 42 AS answer");
    await before.stop();

    const warm = await start("main");
    expect(warm).toMatchObject({ reused: false, url: before.url });
    process.kill(warm.pid, "SIGKILL");

    const again = await start("main");
    expect(again).toMatchObject({ reused: false, url: before.url });
    expect(await query(again.url, "SELECT answer FROM kept")).toBe(42);
    await again.stop();
  });

  test("a stale pid file that names a living process is no obstacle", async () => {
    const { dir, url } = started[0]!;
    const lines = [process.pid, join(dir, "data"), 0, await freePort(), "", "127.0.0.1", "", "ready"];
    await writeFile(join(dir, "data", "postmaster.pid"), lines.join("\n"));
    expect(await start("main")).toMatchObject({ reused: false, url });
  });

  test("it goes on running when its parent is killed, and is found again", async () => {
    const module = JSON.stringify(new URL("../../local/postgres.ts", import.meta.url).href);
    const program = `
      const { startPostgres } = await import(${module});
      const { pid } = await startPostgres({ dir: ${JSON.stringify(join(folder, "orphan"))}, durable: false });
      process.stdout.write(String(pid), () => process.kill(process.pid, "SIGKILL"));`;
    const orphan = promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
    const killed = (await orphan.catch((error: unknown) => error)) as { stdout: string; signal: string };
    expect(killed.signal).toBe("SIGKILL");
    expect(await start("orphan")).toMatchObject({ reused: true, pid: Number(killed.stdout) });
  });

  test("two starts at once share one server", async () => {
    const [one, two] = await Promise.all([start("shared"), start("shared")]);
    expect(one.pid).toBe(two.pid);
    expect([one.reused, two.reused].sort()).toEqual([false, true]);
  });

  test("a folder that Postgres' user can't enter gets its data outside, where the next such start tidies up", async () => {
    const data: string[] = [];
    for (const name of ["private", "secret"]) {
      await mkdir(join(folder, name), { mode: 0o700 });
      const server = await start(`${name}/postgres`);
      expect(await query(server.url, "SELECT 1")).toBe(1);
      await server.stop();
      expect((await start(`${name}/postgres`)).dir).toBe(server.dir);
      await started.at(-1)!.stop();
      data.push(server.dir);
      await rm(join(folder, name), { recursive: true });
    }
    expect(existsSync(data[0]!)).toBe(false);
    await rm(data[1]!, { recursive: true, force: true });
  });

  test("another major version's data is refused in one line that says what to do", async () => {
    await mkdir(join(folder, "old", "data"), { recursive: true });
    await writeFile(join(folder, "old", "data", "PG_VERSION"), "15\n");
    await expect(start("old")).rejects.toThrow(
      /^.* was made by Postgres 15, this is \d+: .*pg_dump.*delete.*$/,
    );
  });
});

describe("brokers", () => {
  test("NATS is killed, restarted on its port, paused and stopped, and its clients see all of it", async () => {
    const server = await startNats();
    try {
      const client = await connect({
        ...natsOptions(server.url),
        reconnectTimeWait: 5,
        maxReconnectAttempts: -1,
      });
      const first = server.pid;
      const disconnected = seen(client, "disconnect");
      await server.kill();
      await disconnected;
      const reconnected = seen(client, "reconnect");
      await server.restart();
      await reconnected;
      expect(server.pid).not.toBe(first);
      await client.flush();

      server.pause();
      const flushed = client.flush();
      server.resume();
      await flushed;
      await client.close();
    } finally {
      await server.stop();
    }
    await server.stop();
    await expect(connect(natsOptions(server.url))).rejects.toThrow(/CONNECTION_REFUSED/);
  });

  test("Redis is stopped and restarted on its port, and has kept nothing", async () => {
    const server = await startRedis();
    const client = new Redis(server.url, { retryStrategy: () => 5 });
    client.on("error", () => {});
    try {
      await client.set("key", "value");
      await server.stop();
      await server.restart();
      expect(await client.get("key")).toBeNull();
    } finally {
      client.disconnect();
      await server.stop();
    }
  });

  test("neither lets in who does not know the password, which no process list shows", async () => {
    const [nats, redis] = await Promise.all([startNats(), startRedis()]);
    try {
      const bare = (url: string): string => url.replace(/\/\/.*@/, "//");
      await expect(connect(natsOptions(bare(nats.url)))).rejects.toThrow(/authorization violation/i);
      const client = new Redis(bare(redis.url), { retryStrategy: () => null }).on("error", () => {});
      await expect(client.ping()).rejects.toThrow(/NOAUTH/);
      client.disconnect();
      for (const { url } of [nats, redis]) expect(await processesWith(new URL(url).password)).toEqual([]);
    } finally {
      await Promise.all([nats.stop(), redis.stop()]);
    }
  });

  test("a taken port is refused with the server's own words", async () => {
    const { port, stop } = await listening();
    await expect(startRedis({ port })).rejects.toThrow(/Address already in use/);
    stop();
  });

  test("a broker dies with its parent, even by kill -9", async () => {
    const module = JSON.stringify(new URL("../../local/redis.ts", import.meta.url).href);
    const parent = spawn(process.execPath, [
      "--input-type=module",
      "-e",
      `const { startRedis } = await import(${module}); console.log((await startRedis()).url);`,
    ]);
    const [url] = (await once(createInterface(parent.stdout), "line")) as [string];
    const client = new Redis(url, { retryStrategy: () => null });
    expect(await client.ping()).toBe("PONG");
    const ended = once(client, "end");
    parent.kill("SIGKILL");
    await ended;
  });
});

describe("a process group", () => {
  const NODE = `
    process.once("SIGTERM", () => console.log("drained") ?? process.exit());
    process.once("disconnect", () => fs.writeFileSync(process.env.FAREWELL, "") ?? process.exit());
    console.log(process.env.GREETING);`;
  const node = { command: process.execPath, args: ["-e", NODE] };

  test("writes one log, each line with its node's name, and lets nodes drain", async () => {
    const lines: string[] = [];
    const exits: unknown[] = [];
    const out = new Writable({
      write: (chunk: Buffer, _, done) => {
        lines.push(...chunk.toString().trimEnd().split("\n"));
        done();
      },
    });
    const group = new ProcessGroup({ ...node, out, onExit: (...exit) => exits.push(exit) });
    group.start({ name: "tasks", env: { GREETING: "one\ntwo" } });
    group.start({ name: "api", env: { GREETING: "three" } });
    expect(() => group.start({ name: "api", env: {} })).toThrow(/running already/);
    expect(await until(() => lines.length === 3, 5_000)).toBe(true);

    group.kill("tasks", "SIGKILL");
    expect(await until(() => group.get("tasks") === undefined, 5_000)).toBe(true);
    await group.stopAll();
    expect(lines.sort()).toEqual(["api   | drained", "api   | three", "tasks | one", "tasks | two"]);
    expect(exits).toEqual([
      ["tasks", null, "SIGKILL"],
      ["api", 0, null],
    ]);
  });

  test("starts a node that ends again, after a pause that grows, until it is told to stop", async () => {
    const group = new ProcessGroup({ ...node, out: () => {} });
    const told: string[] = [];
    group.keepAlive((line) => told.push(line));
    group.start({ name: "tasks", env: { GREETING: "hello" } });
    for (const revivals of [1, 2]) {
      group.kill("tasks", "SIGKILL");
      expect(await until(() => told.length === 2 * revivals, 5_000)).toBe(true);
    }
    expect(told).toEqual([
      "tasks ended (SIGKILL): it starts again in 0.5 s",
      expect.stringMatching(/^tasks starts again, as process \d+$/),
      "tasks ended (SIGKILL): it starts again in 1 s",
      `tasks starts again, as process ${group.get("tasks")?.pid}`,
    ]);
    await group.stopAll();
    expect([group.list(), told.length]).toEqual([[], 4]);
  });

  test("tells its nodes when it is killed", async () => {
    const module = JSON.stringify(new URL("../../local/process-group.ts", import.meta.url).href);
    const farewell = join(folder, "farewell");
    const parent = spawn(process.execPath, [
      "--input-type=module",
      "-e",
      `const { ProcessGroup } = await import(${module});
       const group = new ProcessGroup({ ...${JSON.stringify(node)}, out: process.stdout });
       group.start({ name: "node", env: { GREETING: "ready", FAREWELL: ${JSON.stringify(farewell)} } });`,
    ]);
    expect((await once(createInterface(parent.stdout), "line"))[0]).toBe("node | ready");
    parent.kill("SIGKILL");
    expect(await until(() => existsSync(farewell), 5_000)).toBe(true);
  });
});

async function query(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return Object.values(rows[0] ?? {})[0];
  } finally {
    await client.end();
  }
}

async function seen(client: NatsConnection, type: string): Promise<void> {
  for await (const status of client.status()) if ((status.type as string) === type) return;
}

async function listening(): Promise<{ port: number; stop: () => void }> {
  const server = createServer((socket) => socket.resume()).listen(await freePort(), "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as { port: number }).port, stop: () => server.close() };
}
