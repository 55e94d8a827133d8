import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, stat } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../local/ports.ts";
import { Api } from "../support/api.ts";
import { freshDatabase } from "../support/database.ts";
import { processesWith, runProgram, type RunningProgram } from "../support/program.ts";
import { PROMISED, takeTour } from "../support/tour.ts";

const MAIN = "main.mjs";
/** Told apart from everything else that a terminal or a process list may show. */
const SECRET = "hush-hush-hush-hush-hush-hush-hush-hush";

let folder: string;
let taken: Server;
let takenPort: string;
let databaseUrl: string;
const programs: RunningProgram[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "taskwire-start-"));
  await chmod(folder, 0o755); // for Postgres' user, when we are root
  databaseUrl = await freshDatabase();
  taken = createServer().listen(await freePort(), "127.0.0.1");
  await once(taken, "listening");
  takenPort = String((taken.address() as { port: number }).port);
});
afterAll(async () => {
  for (const program of programs) program.signal("SIGTERM");
  await Promise.all(programs.map(({ ended }) => ended));
  taken.close();
  await rm(folder, { recursive: true, force: true });
});

const dataDir = (name: string): string => join(folder, name);
async function run(env: Record<string, string>, file = MAIN, args: string[] = []): Promise<RunningProgram> {
  const program = runProgram(file, { PORT: String(await freePort()), ...env }, args);
  programs.push(program);
  return program;
}

describe("a start that can't succeed ends with one line and code 1, and leaves nothing running", () => {
  const NOBODY = "postgres://taskwire:hush@127.0.0.1:1/taskwire";
  // Given some seconds to come up beside us; the other tests run meanwhile.
  let unreachable: RunningProgram;
  beforeAll(async () => {
    unreachable = await run({ DATABASE_URL: NOBODY });
  });

  test.each<[string, () => Record<string, string>, RegExp]>([
    [
      "a HOST that is none",
      () => ({ HOST: "nowhere.invalid" }),
      /HOST nowhere\.invalid is no address.*set HOST/,
    ],
    [
      "a HOST of another machine",
      () => ({ HOST: "203.0.113.7" }),
      /HOST 203\.0\.113\.7 is no address.*set HOST/,
    ],
    ["a taken PORT", () => ({ PORT: takenPort }), /port \d+ is taken .*set PORT to a free one/],
    ["a taken OPS_PORT", () => ({ OPS_PORT: takenPort }), /port \d+ is taken .*set OPS_PORT to a free one/],
    [
      "a taken NOTIFIER_PORT",
      () => ({ SERVICES: "notifier", NOTIFIER_PORT: takenPort }),
      /port \d+ is taken .*set NOTIFIER_PORT to a free one/,
    ],
    [
      "an admin's password that everybody guesses",
      () => ({ ADMIN_EMAIL: "ada@example.com", ADMIN_PASSWORD: "password1" }),
      /^ADMIN_PASSWORD: is one of the most common passwords/,
    ],
    [
      "a database that does not exist",
      () => ({ DATABASE_URL: databaseUrl.replace(/\w+$/, "missing") }),
      /Postgres at 127\.0\.0\.1:\d+\/missing refuses the connection: database "missing" does not exist. Correct DATABASE_URL/,
    ],
    [
      "a database that was not migrated",
      () => ({ DATABASE_URL: databaseUrl.replace(/\w+$/, "postgres") }),
      /database 127\.0\.0\.1:\d+\/postgres lacks \d+ migrations .*npm run migrate/,
    ],
  ])("%s", async (name, env, line) => {
    const program = await run({ DATA_DIR: dataDir(name), ...env() });
    const { code, stdout, stderr, ms } = await program.ended;
    expect(stderr).toMatch(line);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect([code, stdout]).toEqual([1, ""]);
    expect(ms).toBeLessThan(8000);
    expect(await processesWith(dataDir(name))).toEqual([]);
  });

  test("a cluster with a taken port", async () => {
    const program = await run({ DATA_DIR: dataDir("cluster"), PORT: takenPort }, "scripts/cluster.ts");
    const { code, stdout, stderr } = await program.ended;
    expect(stderr).toMatch(/^Taskwire: port \d+ is taken .*set PORT, the first of 4.*\n$/);
    expect([code, stdout]).toEqual([1, ""]);
  });

  test("npm run migrate, of a database that does not exist", async () => {
    const env = { DATABASE_URL: databaseUrl.replace(/\w+$/, "missing") };
    const { code, stdout, stderr } = await (await run(env, "scripts/migrate.ts")).ended;
    expect(stderr).toMatch(
      /^Postgres at 127\.0\.0\.1:\d+\/missing refuses the connection: .*Correct DATABASE_URL\n$/,
    );
    expect([code, stdout]).toEqual([1, ""]);
  });

  test("a database that can't be reached: the wait says for what, without the password", async () => {
    const { code, stdout, stderr } = await unreachable.ended;
    expect(stdout).toMatch(
      /^Taskwire: waiting up to 10 s for Postgres at 127\.0\.0\.1:1\/taskwire \(.*\)\n$/,
    );
    expect(stderr).toMatch(
      /^Taskwire: Postgres at 127\.0\.0\.1:1\/taskwire can't be reached .*DATABASE_URL.*\n$/,
    );
    expect(code).toBe(1);
    expect(stdout + stderr).not.toContain("hush");
  });
});

describe("Ctrl-C", () => {
  /** As a terminal and npm send it: more than once. */
  const press = (program: RunningProgram): void => {
    for (let at = 0; at < 4; at++) program.signal("SIGINT");
  };

  test.each(["making a database cluster", "Postgres: started"])(
    "during a start that has said %j ends it without a stack, and leaves nothing running",
    async (moment) => {
      const dir = dataDir(moment.replaceAll(/\W/g, ""));
      const program = await run({ DATA_DIR: dir });
      await program.said(moment);
      press(program);
      const { code, stdout, stderr } = await program.ended;
      expect(stdout).toMatch(/Taskwire: stopping \(Ctrl-C\)\n$/);
      expect([code, stderr]).toEqual([1, ""]);
      expect(await processesWith(dir)).toEqual([]);
    },
  );

  /** Its log is its owner's alone, and it knows none of the starter's secrets. */
  async function postgresIsDiscreet(dir: string): Promise<void> {
    expect((await stat(join(dir, "postgres", "postgres.log"))).mode & 0o077).toBe(0);
    if (process.platform !== "linux") return;
    const [pid] = readFileSync(join(dir, "postgres", "data", "postmaster.pid"), "utf8").split("\n");
    const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
    expect(environment).toContain("PATH=");
    expect(environment).not.toContain(SECRET);
  }

  test("ends npm start -- --demo with code 0, its Postgres too; the board is full, is offered, and is filled once", async () => {
    const env = { DATA_DIR: dataDir("demo"), PORT: String(await freePort()), JWT_SECRET: SECRET };
    const url = `http://127.0.0.1:${env.PORT}`;
    const login = { login: "demo-owner", password: "demo demo demo" };
    const boards: object[] = [];
    for (const _start of ["on a fresh data directory", "on what that left"]) {
      const program = await run(env, MAIN, ["--demo"]);
      await program.said("The demo is ready");
      expect(program.output()).toContain(`curl '${url}`);
      await postgresIsDiscreet(env.DATA_DIR);
      const page = await fetch(`${url}/app`, { headers: { Connection: "close" } });
      expect(await page.text()).toContain(
        '<meta name="demo" content="{&quot;login&quot;:&quot;demo-owner&quot;',
      );
      const api = new Api(url);
      const owner = api.as((await api.must("POST", "/auth/login", login)).access_token);
      const board: Record<string, Record<string, number>> = {};
      for (const { id, name } of (await owner.must("GET", "/projects?sort=name")).items)
        board[name] = (await owner.must("GET", `/projects/${id}`)).task_counts;
      expect(Object.keys(board)).toContain("Website relaunch");
      const counts = Object.values(board).flatMap((of) => Object.values(of));
      expect(counts.reduce((sum, count) => sum + count)).toBe(150);
      boards.push(board);
      press(program);
      expect(await program.ended).toMatchObject({ code: 0, stderr: "" });
      expect(await processesWith(env.DATA_DIR)).toEqual([]);
    }
    expect(boards[1]).toEqual(boards[0]);
  });
});

describe("README.md's tour, word for word", () => {
  // Many logins come from this one address.
  const env = { JWT_SECRET: SECRET, RATE_LIMIT_AUTH: "1000/60" };
  const seed = async (port: string): Promise<string> => {
    const program = await run({ PORT: port }, "scripts/seed.ts", ["60"]);
    const { code, stdout, stderr } = await program.ended;
    expect([code, stderr]).toEqual([0, ""]);
    return stdout;
  };

  test("against npm start, right after the seed, whose boards are in use; both survive a second run", async () => {
    const port = String(await freePort());
    const program = await run({ ...env, DATABASE_URL: databaseUrl, PORT: port });
    await program.said("Ctrl-C stops it");
    await seed(port);
    expect(await takeTour(port)).toEqual(PROMISED);
    expect(await takeTour(port)).toEqual(PROMISED);
    expect(await seed(port)).toMatch(
      /^The demo exists already, with all of its 60 tasks: nothing changed\.\n$/,
    );

    const api = new Api(`http://127.0.0.1:${port}`);
    const login = { login: "demo-owner", password: "demo demo demo" };
    const owner = api.as((await api.must("POST", "/auth/login", login)).access_token);
    const projects = (await owner.must("GET", "/projects")).items;
    expect(projects).toHaveLength(5);
    for (const { id } of projects) {
      const counts: Record<string, number> = (await owner.must("GET", `/projects/${id}`)).task_counts;
      expect(Object.values(counts).filter((count) => count > 0).length).toBeGreaterThanOrEqual(3);
    }
    for (const filter of ["overdue=true", "assigned_to=me", "priority=urgent", "status=completed"])
      expect((await owner.must("GET", `/tasks?${filter}`)).total).toBeGreaterThan(0);
    program.signal("SIGINT");
    await program.ended;
  });

  test("against npm run cluster, whose killed node comes back, and of which Ctrl-C leaves nothing", async () => {
    const port = String(await freePort());
    const program = await run({ ...env, DATABASE_URL: databaseUrl, PORT: port }, "scripts/cluster.ts");
    await program.said("Ctrl-C stops it");
    expect(await takeTour(port)).toEqual(PROMISED); // a second run: its people are in the database already

    // The page and its sockets have one address, as behind an ingress. The tour's programs came in by it, too.
    for (const path of ["/app", "/ws/?EIO=4&transport=polling"]) {
      const { status } = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { Connection: "close" } });
      expect([path, status]).toEqual([path, 200]);
    }

    const pids = new Map(
      [...program.output().matchAll(/([\w-]+) (\d+)(?:,|$)/gm)].map(([, name, pid]) => [name, Number(pid)]),
    );
    process.kill(pids.get("tasks-1") as number, "SIGKILL");
    await program.said(/tasks-1 ended \(SIGKILL\): it starts again in 0\.5 s/);
    await program.said(/tasks-1 starts again, as process \d+/);

    for (let at = 0; at < 4; at++) program.signal("SIGINT");
    const { code, stdout, stderr } = await program.ended;
    expect([code, stderr]).toEqual([0, ""]);
    for (const pid of pids.values()) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    // The brokers' passwords are in no log.
    expect(stdout).not.toMatch(/\/\/\S*:\S+@|[0-9a-f]{48}/);
    expect(stdout).not.toContain(SECRET);
  });
});
