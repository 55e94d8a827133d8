/**
 * FastAPI with SQLAlchemy and asyncpg (bench/peers/fastapi), where the machine has Python. Its packages lie in a virtual
 * environment in the user's cache, made once: they are no dependency of Taskwire.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanEnv } from "../../local/clean-env.ts";
import { exists } from "../../local/files.ts";
import { freePort } from "../../local/ports.ts";
import { ProcessGroup } from "../../local/process-group.ts";
import { until } from "../../local/until.ts";
import { lastLines, type Start } from "./ground.ts";
import type { Server } from "./measure.ts";

const FOLDER = fileURLToPath(new URL("../peers/fastapi", import.meta.url));
/** How long packages may take to install, and the server to start. */
const [INSTALL_MS, START_MS] = [180_000, 20_000];
/** As many connections as Taskwire's transactions have (DATABASE_POOL). */
const POOL = "10";

/** Runs a program to its end. @returns whether it succeeded */
function run(command: string, args: string[]): Promise<boolean> {
  return new Promise((settle) => {
    const child = spawn(command, args, { env: cleanEnv(), stdio: "ignore", timeout: INSTALL_MS });
    child.once("error", () => settle(false));
    child.once("close", (code) => settle(code === 0));
  });
}

/** The Python of the virtual environment; null where there is no Python, or its packages can't be had. */
async function pythonWithPackages(say: (line: string) => void): Promise<string | null> {
  const requirements = join(FOLDER, "requirements.txt");
  const version = createHash("sha256")
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 12);
  const home = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "taskwire");
  const folder = join(home, `fastapi-${version}`);
  const python = join(folder, "bin", "python");
  // Written last: an installation that was interrupted is made again.
  const complete = join(folder, "complete");
  if (await exists(complete)) return python;
  say("installing FastAPI's packages, once");
  const isMade =
    (await run("python3", ["-m", "venv", "--clear", folder])) &&
    (await run(python, ["-m", "pip", "install", "--quiet", "--requirement", requirements]));
  if (isMade) {
    await writeFile(complete, "");
    return python;
  }
  say("fastapi is left out: it needs python3 with venv, and PyPI");
  return null;
}

/** @returns null where it can't run */
export async function startFastapi({ ground, own, say }: Start): Promise<Server | null> {
  const python = await pythonWithPackages(say);
  if (python === null) return null;
  const name = "fastapi";
  const [url, logs, port] = [await ground.copy(name), await ground.logsOf(name), await freePort()];
  const group = new ProcessGroup({
    command: python,
    args: ["-m", "uvicorn", "main:app", "--app-dir", FOLDER, "--host", "127.0.0.1", "--port", String(port)],
    out: { folder: logs },
  });
  own({ name, stop: () => group.stopAll() });
  const child = group.start({
    name: "server",
    env: {
      DATABASE_URL: url.replace(/^postgres(ql)?:/, "postgresql+asyncpg:"),
      DATABASE_POOL: POOL,
      PYTHONDONTWRITEBYTECODE: "1",
      JWT_SECRET: ground.secret,
    },
  });
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/live`).then(
      ({ ok }) => ok,
      () => false,
    );
  const isReady = await until(async () => child.exitCode !== null || (await answers()), START_MS);
  if (!isReady || child.exitCode !== null)
    throw new Error(`FastAPI did not start:\n${await lastLines(logs)}`);
  return {
    name,
    port,
    logs,
    processes: async () =>
      new Map([
        ["server", group.list().map(({ pid }) => pid as number)],
        ["Postgres", await ground.backends(name)],
      ]),
  };
}
