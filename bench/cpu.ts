/**
 * CPU time as Linux counts it for each thread, to the nanosecond (`/proc/<pid>/task/<tid>/schedstat`). It says what work
 * costs, also where other programs make a machine slow. Other systems have no such files: everything is 0 there.
 */
import { readdir, readFile } from "node:fs/promises";

/** Process ids by the name under which their time is summed. */
export type Processes = ReadonlyMap<string, readonly number[]>;

/** Microseconds that each process has used so far: by name, then by process id. */
export type CpuReading = ReadonlyMap<string, ReadonlyMap<number, number>>;

async function microsecondsOf(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const each = await Promise.all(
    threads.map(async (thread) => {
      const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8").catch(() => "0");
      return Number.parseInt(text, 10);
    }),
  );
  return each.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1000;
}

export async function readCpu(processes: Processes): Promise<CpuReading> {
  const named = [...processes].map(async ([name, pids]) => {
    const each = await Promise.all(pids.map(async (pid) => [pid, await microsecondsOf(pid)] as const));
    return [name, new Map(each)] as const;
  });
  return new Map(await Promise.all(named));
}

/** Microseconds that were used between two readings, by name. A process that began meanwhile counts whole. */
export function cpuBetween(before: CpuReading, after: CpuReading): Map<string, number> {
  return new Map(
    [...after].map(([name, pids]) => {
      const each = [...pids].map(([pid, used]) => Math.max(0, used - (before.get(name)?.get(pid) ?? 0)));
      return [name, each.reduce((sum, used) => sum + used, 0)];
    }),
  );
}
