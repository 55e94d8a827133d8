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

/** Shares of the time in which the process was not idle. */
export interface Share {
  name: string;
  /** Spent in functions of this name or module. */
  own: number;
  /** The same with the functions of Node that they call, such as a socket's write. */
  withNode: number;
}

/** Largest first. */
export interface Summary {
  modules: Share[];
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

/**
 * Sums the time that functions spent in themselves. What has no source file (a native function) counts for the module that
 * calls it. `(program)` is native code that no JavaScript called: the event loop, system calls, threads.
 */
export function summarise({ nodes, samples, timeDeltas }: CpuProfile): Summary {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  /** The module of the function itself or of its nearest caller that `counts`. */
  const nearest = (id: number, counts: (url: string) => boolean): string | undefined => {
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const url = byId.get(at)?.callFrame.url ?? "";
      if (url !== "" && counts(url)) return moduleOf(url);
    }
    return undefined;
  };
  const times = new Map<number, number>();
  for (const [at, id] of samples.entries()) times.set(id, (times.get(id) ?? 0) + (timeDeltas[at] ?? 0));

  const [own, withNode, functions] = [
    new Map<string, number>(),
    new Map<string, number>(),
    new Map<string, number>(),
  ];
  const add = (sums: Map<string, number>, name: string, time: number) =>
    void sums.set(name, (sums.get(name) ?? 0) + time);
  let busy = 0;
  for (const [id, time] of times) {
    const node = byId.get(id);
    if (node === undefined || node.callFrame.functionName === "(idle)") continue;
    busy += time;
    const { functionName, url, lineNumber } = node.callFrame;
    const module = nearest(id, () => true) ?? functionName;
    const cause = nearest(id, (place) => !place.startsWith("node:")) ?? module;
    add(own, module, time);
    add(withNode, cause, time);
    const name = functionName === "" ? "(anonymous)" : functionName;
    const place = url.replace(ROOT, "").replace(/.*node_modules\//, "");
    if (url !== "") add(functions, `${name}  ${place}:${lineNumber + 1}`, time);
    else add(functions, module === functionName ? name : `${name}  native, for ${cause}`, time);
  }
  const shareOf = (sums: Map<string, number>, name: string): number => (sums.get(name) ?? 0) / busy;
  const modules = [...new Set([...own.keys(), ...withNode.keys()])].map((name) => ({
    name,
    own: shareOf(own, name),
    withNode: shareOf(withNode, name),
  }));
  return {
    modules: modules.toSorted((one, other) => other.withNode - one.withNode || other.own - one.own),
    functions: [...functions]
      .map(([name, time]): [string, number] => [name, time / busy])
      .toSorted(([, one], [, other]) => other - one),
  };
}
