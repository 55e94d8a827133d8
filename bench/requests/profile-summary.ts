/** A V8 CPU profile as a table: where the time of a process goes, by module and by function. */

/** What `Profiler.stop` of the Chrome DevTools Protocol returns. */
export interface CpuProfile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
    children?: number[];
  }[];
  samples: number[];
  /** Microseconds since the sample before. */
  timeDeltas: number[];
}

/** Shares of the time in which the process was not idle, largest first. */
export interface Summary {
  modules: [name: string, share: number][];
  functions: [name: string, share: number][];
}

const ROOT = new URL("../../", import.meta.url).href;
/** What Node's own modules do, by the beginning of their names. */
const OF_NODE: [pattern: RegExp, name: string][] = [
  [/^_http|^internal\/http|^http/, "node: http"],
  [/^net|^stream|^internal\/(streams|stream_base)|^tty|^buffer|^internal\/buffer/, "node: sockets, streams"],
  [
    /^internal\/(process\/task_queues|async|promise)|^async_hooks|^diagnostics/,
    "node: promises, async context",
  ],
  [/^internal\/crypto|^crypto/, "node: crypto"],
  [/^internal\/timers|^timers/, "node: timers"],
  [/^events/, "node: events"],
];

/** The module that a source file belongs to: a package, a folder of Taskwire, or a part of Node. */
export function moduleOf(url: string): string {
  if (url.startsWith("node:")) {
    const name = url.slice("node:".length);
    return OF_NODE.find(([pattern]) => pattern.test(name))?.[1] ?? "node: others";
  }
  const packaged = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (packaged !== undefined) return packaged;
  const path = url.startsWith(ROOT) ? url.slice(ROOT.length) : url;
  const parts = path.split("/");
  return parts.length === 1 ? path : parts.slice(0, parts[0] === "services" ? 2 : 1).join("/");
}

const largestFirst = (shares: Map<string, number>): [string, number][] =>
  [...shares].toSorted(([, one], [, other]) => other - one);

/**
 * Sums the time that functions spent in themselves. What has no source file (native functions, such as a socket's write)
 * counts for the module that calls it.
 */
export function summarise({ nodes, samples, timeDeltas }: CpuProfile): Summary {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const callerOf = (id: number): string => {
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const url = byId.get(at)?.callFrame.url ?? "";
      if (url !== "") return moduleOf(url);
    }
    return "";
  };
  const own = new Map<number, number>();
  for (const [at, id] of samples.entries()) own.set(id, (own.get(id) ?? 0) + (timeDeltas[at] ?? 0));

  const [modules, functions] = [new Map<string, number>(), new Map<string, number>()];
  const add = (sums: Map<string, number>, name: string, time: number) =>
    void sums.set(name, (sums.get(name) ?? 0) + time);
  let busy = 0;
  for (const [id, time] of own) {
    const { functionName, url, lineNumber } = byId.get(id)?.callFrame ?? {
      functionName: "",
      url: "",
      lineNumber: 0,
    };
    if (functionName === "(idle)") continue;
    busy += time;
    const name = functionName === "" ? "(anonymous)" : functionName;
    const caller = callerOf(id);
    if (url !== "") {
      add(modules, caller, time);
      add(
        functions,
        `${name}  ${url.replace(ROOT, "").replace(/.*node_modules\//, "")}:${lineNumber + 1}`,
        time,
      );
    } else if (caller === "") {
      // `(program)` is native code that no JavaScript called: the event loop, system calls, threads.
      add(modules, functionName, time);
      add(functions, functionName, time);
    } else {
      add(modules, caller, time);
      add(functions, `${name}  native, called by ${caller}`, time);
    }
  }
  const shareOf = (sums: Map<string, number>): [string, number][] =>
    largestFirst(sums).map(([name, time]) => [name, time / busy]);
  return { modules: shareOf(modules), functions: shareOf(functions) };
}
