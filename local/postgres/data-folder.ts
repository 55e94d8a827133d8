import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { exists, renameUnlessThere } from "../files.ts";
import { canReach, ENV, shelter, unprivilegedUser } from "./binaries.ts";
import type { Binaries, User } from "./binaries.ts";
import { type Cluster, findPostmaster } from "./postmaster.ts";

const INITDB_MS = 30_000;

/** Postgres' own C.UTF-8 sorts and folds the same way on every system, and needs no locale of the system. */
const LOCALE = ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];

/**
 * The cluster of the folder `dir`, which is made if missing. When Postgres' user can't reach `dir` (below root's home), the
 * cluster's home is a folder outside, and `dir/elsewhere` points to it. A user who deletes `dir` starts afresh: the folder
 * outside stays, and a `disposable` one goes when the next home is made.
 */
export async function locate(dir: string, disposable: boolean): Promise<Cluster> {
  await mkdir(dir, { recursive: true });
  const user = await userOf(dir);
  const home = await reachableHome(dir, user, disposable);
  return { home, data: join(home, "data"), log: join(home, "postgres.log"), user };
}

/**
 * Makes the data unless it exists: beside its place, then moved in one step, so that a kill leaves a draft and never half a
 * cluster. Throws with initdb's own words, and when another major version made the data.
 */
export async function prepare(
  { home, data, user }: Cluster,
  { initdb, version }: Binaries,
  onProgress: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  if (await exists(data)) return checkVersion(data, parseInt(version));
  onProgress(`Postgres: making a database cluster in ${data}`);
  const draft = await mkdtemp(join(home, "draft-"));
  const draftData = join(draft, "data");
  const password = join(draft, "password");
  try {
    await mkdir(draftData);
    await writeFile(password, randomBytes(16).toString("hex"), { mode: 0o600 });
    if (user) for (const path of [draft, draftData, password]) await chown(path, user.uid, user.gid);
    const account = ["-U", "taskwire", "--pwfile", password, "--auth=scram-sha-256"];
    await promisify(execFile)(
      initdb,
      ["-D", draftData, ...account, ...LOCALE, "--no-sync", "--no-instructions"],
      { ...user, cwd: draft, env: ENV, windowsHide: true, timeout: INITDB_MS, ...(signal && { signal }) },
    );
    await rename(password, passwordFile(draftData)); // it moves with the data; initdb needed an empty folder
    await renameUnlessThere(draftData, data);
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`Postgres' initdb failed in ${home}: ${stderr?.trim() || message}`, { cause: error });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** The superuser's URL. */
export async function urlOf({ data }: Cluster, port: number): Promise<string> {
  return `postgres://taskwire:${await readFile(passwordFile(data), "utf8")}@127.0.0.1:${port}/postgres`;
}

const passwordFile = (data: string): string => join(data, "taskwire.password");

async function checkVersion(data: string, ours: number): Promise<void> {
  const file = join(data, "PG_VERSION");
  if (!(await exists(file)))
    throw new Error(`${data} holds no Postgres data: delete it, or name another folder`);
  const made = parseFloat(await readFile(file, "utf8"));
  if (made !== ours)
    throw new Error(
      `${data} was made by Postgres ${made}, this is ${ours}: move the data over with Postgres ${made}'s pg_dump, or delete ${data} to start afresh`,
    );
}

/** The owner of existing data, else an unprivileged user; undefined unless this process is root's. */
async function userOf(dir: string): Promise<User | undefined> {
  const user = unprivilegedUser();
  for (const data of user ? [join(dir, "data"), join(dir, "elsewhere", "data")] : []) {
    const { uid, gid } = await stat(data).catch(() => ({ uid: 0, gid: 0 }));
    if (uid !== 0) return { uid, gid };
  }
  return user;
}

async function reachableHome(dir: string, user: User | undefined, disposable: boolean): Promise<string> {
  if (!user || (await exists(join(dir, "data"))) || (await canReach(dir, user))) return dir;
  await chown(dir, user.uid, user.gid);
  if (await canReach(dir, user)) return dir;

  const pointer = join(dir, "elsewhere");
  if (await exists(pointer)) return readlink(pointer);
  await rm(pointer, { force: true }); // it may point to a deleted folder
  await sweep(await shelter());
  const home = await mkdtemp(join(await shelter(), "data-"));
  await chown(home, user.uid, user.gid);
  try {
    await symlink(home, pointer);
  } catch {
    await rm(home, { recursive: true }); // another starter was faster
    return readlink(pointer);
  }
  if (disposable) await symlink(dir, join(home, OWNER));
  return home;
}

/** In a disposable home: a link back to the `dir` that it serves. */
const OWNER = "owner";

/** Removes the disposable homes whose `dir` is gone, unless a server still runs there. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const home = join(folder, name);
    const owner = await readlink(join(home, OWNER)).catch(() => undefined);
    if (owner === undefined || (await exists(join(owner, "elsewhere")))) continue;
    if (await findPostmaster({ data: join(home, "data") })) continue;
    await rm(home, { recursive: true, force: true });
  }
}
