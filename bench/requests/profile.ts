/** `npm run bench -- --profile`: where the CPU time of a request goes in each Node process of a server. */
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CpuProfile, summarise } from "./profile-summary.ts";
import { wholeOf } from "./report.ts";
import type { Cell, Loader, Operation, Plan, Server } from "./measure.ts";

/** Seconds under load, and microseconds between two samples. */
const [PROFILE_S, SAMPLE_US] = [5, 200];
/** Modules and functions of each process that are printed, and the share of the whole below which a process is left out. */
const [MODULES, FUNCTIONS, LEAST] = [18, 25, 0.05];
const FOLDER = fileURLToPath(new URL("../../.data/bench/", import.meta.url));

/** The debuggers of a server's processes, by the name of each. */
async function debuggersOf({ logs }: Server): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const file of await readdir(logs)) {
    const url = /Debugger listening on (ws:\S+)/.exec(await readFile(join(logs, file), "utf8"))?.[1];
    if (url !== undefined) found.set(file.replace(/\.log$/, ""), url);
  }
  return found;
}

/** A connection of the Chrome DevTools Protocol. */
class Debugger {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<object>>();
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      type Answer = { id?: number; result?: object; error?: { message: string } };
      const { id = 0, result = {}, error } = JSON.parse(String(data)) as Answer;
      const call = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(new Error(error.message));
    });
    socket.addEventListener("close", () => {
      for (const call of this.#waiting.values()) call.reject(new Error("the process under profile ended"));
    });
  }

  static async open(url: string): Promise<Debugger> {
    const socket = new WebSocket(url);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener("open", () => resolve());
      socket.addEventListener("error", () => reject(new Error(`no debugger answers at ${url}`)));
    });
    return new Debugger(socket);
  }

  call(method: string, params: object = {}): Promise<object> {
    const call = Promise.withResolvers<object>();
    const id = (this.#last += 1);
    this.#waiting.set(id, call);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return call.promise;
  }

  close(): void {
    this.#socket.close();
  }
}

/** Runs `work` and returns the profile of each process meanwhile. */
async function profiled(debuggers: Map<string, string>, work: () => Promise<unknown>) {
  const open = await Promise.all(
    [...debuggers].map(async ([name, url]) => [name, await Debugger.open(url)] as const),
  );
  try {
    for (const [, one] of open) {
      await one.call("Profiler.enable");
      await one.call("Profiler.setSamplingInterval", { interval: SAMPLE_US });
      await one.call("Profiler.start");
    }
    await work();
    return await Promise.all(
      open.map(async ([name, one]) => {
        const { profile } = (await one.call("Profiler.stop")) as { profile: CpuProfile };
        return [name, profile] as const;
      }),
    );
  } finally {
    for (const [, one] of open) one.close();
  }
}

/**
 * Profiles one operation of a server.
 * @param cell what was measured without profiles: its microseconds are divided by the shares in the profiles
 * @returns lines to print; the profiles themselves are left in .data/bench, for Chrome's DevTools
 */
export async function profile(
  loader: Loader,
  server: Server,
  operation: Operation,
  plan: Plan,
  cell: Cell,
): Promise<string[]> {
  const debuggers = await debuggersOf(server);
  if (debuggers.size === 0) return [`${operation.name}, ${server.name}: no Node process to profile`];
  const profiles = await profiled(debuggers, () => loader.run(server, operation, plan, PROFILE_S * 1000));
  await mkdir(FOLDER, { recursive: true });
  const lines = [`where the CPU time of ${operation.name} goes, ${server.name}: µs a request`];
  for (const [name, found] of profiles) {
    const file = join(FOLDER, `${operation.name}-${server.name}-${name}.cpuprofile`);
    await writeFile(file, JSON.stringify(found));
    const whole = cell.cpu[name] ?? 0;
    if (whole < LEAST * wholeOf(cell)) continue;
    const { modules, functions } = summarise(found);
    const us = (share: number): string => (share * whole).toFixed(1).padStart(8);
    lines.push("", `  ${name}: ${whole.toFixed(0)} µs, ${file}`, "     own  with Node's functions");
    for (const { name: module, own, withNode } of modules.slice(0, MODULES))
      lines.push(`${us(own)}${us(withNode)}  ${module}`);
    lines.push("    by function:");
    for (const [label, share] of functions.slice(0, FUNCTIONS)) lines.push(`${us(share)}  ${label}`);
  }
  return lines;
}
