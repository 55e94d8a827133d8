/** A terminal with one shell in it, which takes what a page says line by line and goes on where the last line left it. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { until } from "../../local/until.ts";

const WITHIN_MS = 15_000;

export class Terminal {
  readonly #shell: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<void>;
  #isClosed = false;
  #output = "";
  #count = 0;

  /** @param cwd the folder to start in */
  constructor(cwd: string, env: Record<string, string>) {
    // A group of its own, which ends with all that was started in it. The first command that fails ends the shell.
    this.#shell = spawn("bash", ["-eo", "pipefail", "-s"], { cwd, env, detached: true });
    for (const stream of [this.#shell.stdout, this.#shell.stderr])
      stream.on("data", (data: Buffer) => (this.#output += data.toString()));
    // A shell that has ended reads nothing more.
    this.#shell.stdin.on("error", () => {});
    this.#closed = new Promise((resolve) =>
      this.#shell.once("close", () => {
        this.#isClosed = true;
        resolve();
      }),
    );
  }

  async #waitFor(what: string, isThere: () => boolean): Promise<void> {
    if ((await until(() => isThere() || this.#isClosed, WITHIN_MS)) && isThere()) return;
    throw new Error(`${what}:\n${this.#output}`);
  }

  /** All that was printed so far, also by what runs on. */
  get output(): string {
    return this.#output;
  }

  /** Runs commands to their end. @returns what was printed meanwhile @throws Error with the output where one of them fails */
  async run(code: string): Promise<string> {
    const before = this.#output.length;
    const end = `end-of-${(this.#count += 1)}\n`;
    this.#shell.stdin.write(`{ ${code}\n} < /dev/null\necho; echo ${end}`);
    await this.#waitFor(`this failed: ${code}`, () => this.#output.includes(end, before));
    return this.#output.slice(before).replace(end, "");
  }

  /** Starts what runs until its reader ends it. @param says what it prints once it does what it is for */
  async runOn(code: string, says: string): Promise<void> {
    const before = this.#output.length;
    this.#shell.stdin.write(`{ ${code}\n} &\n`);
    await this.#waitFor(`${code} did not say ${says}`, () => this.#output.includes(says, before));
  }

  /** Waits until something is printed after a place in the output. */
  async prints(pattern: RegExp, after: number): Promise<void> {
    await this.#waitFor(`${pattern} was not printed`, () => pattern.test(this.#output.slice(after)));
  }

  /** Ends the shell and all that runs in it. */
  async close(): Promise<void> {
    if (!this.#isClosed) process.kill(-(this.#shell.pid as number), "SIGKILL");
    await this.#closed;
  }
}
