import { run } from "./commands.ts";

/** How production should run the image, and how the checks run it. */
export const HARDENED = [
  "--read-only",
  "--read-only-tmpfs=false",
  "--cap-drop=all",
  "--security-opt=no-new-privileges",
];
/** What podman may not do in a container, or a namespace, of a build machine. */
const NESTED = [
  "--cgroups=disabled",
  "--network=host",
  "--ulimit=nofile=4096:4096",
  "--ulimit=nproc=4096:4096",
];

interface Options {
  env?: Record<string, string>;
  /** Files of this machine by their paths in the container, which may only read them. */
  files?: Record<string, string>;
}

const runArguments = ({ env = {}, files = {} }: Options): string[] => [
  ...HARDENED,
  ...NESTED,
  "--no-healthcheck",
  ...Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
  ...Object.entries(files).flatMap(([inside, outside]) => ["--volume", `${outside}:${inside}:ro`]),
];

/** Runs a command of the image to its end. @returns its stdout. @throws Error with its last lines when it fails */
export const runOnce = (image: string, command: string[], options: Options = {}): Promise<string> =>
  run("podman", ["run", "--rm", ...runArguments(options), image, ...command]);

/** A container that runs in the background. */
export class Container {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  static async start(name: string, image: string, options: Options): Promise<Container> {
    await run("podman", ["rm", "--force", "--ignore", name]);
    await run("podman", ["run", "--detach", "--name", name, ...runArguments(options), image]);
    return new Container(name);
  }

  /** Runs a command in it. @returns its stdout. @throws Error with its last lines when it fails */
  exec(command: string[]): Promise<string> {
    return run("podman", ["exec", this.name, ...command]);
  }

  /** Evaluates JavaScript in it. @returns its value */
  async evaluate<Value>(source: string): Promise<Value> {
    return JSON.parse(await this.exec(["node", "-p", `JSON.stringify((() => { ${source} })())`])) as Value;
  }

  async isHealthy(): Promise<boolean> {
    return this.exec(["node", "scripts/healthcheck.ts"]).then(
      () => true,
      () => false,
    );
  }

  logs(): Promise<string> {
    return run("sh", ["-c", 'podman logs "$0" 2>&1', this.name]);
  }

  /** Sends SIGTERM, and SIGKILL after `patience` seconds. @returns its exit code */
  async stop(patience: number): Promise<number> {
    await run("podman", ["stop", "--time", String(patience), this.name], { seconds: patience + 30 });
    return Number(await run("podman", ["inspect", "--format", "{{.State.ExitCode}}", this.name]));
  }

  async remove(): Promise<void> {
    await run("podman", ["rm", "--force", "--ignore", "--time", "1", this.name]);
  }
}
