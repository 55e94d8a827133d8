/**
 * Loaded into a server before its own program (`node --expose-gc --import`): tells its parent, over the IPC channel, what
 * the process has used. It measures the event loop between `watch` and the next `read` alone, since that costs time itself.
 */
import process from "node:process";

export interface Usage {
  /** Milliseconds of CPU since the process began, all threads. */
  cpuMs: number;
  /** Bytes. */
  rss: number;
  heap: number;
  external: number;
  /**
   * Milliseconds that the longest turn of the event loop worked since `watch`, by the clock of its thread, which stands
   * still while other processes have the machine; 0 without `watch`.
   */
  blockMs: number;
}

/** `collect` reads after a collection of garbage. */
export type Question = "watch" | "read" | "collect";

const workedMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

let blockMs = 0;
let watching: NodeJS.Timeout | undefined;

function watch(): void {
  let before = workedMs();
  blockMs = 0;
  clearInterval(watching);
  watching = setInterval(() => {
    const now = workedMs();
    blockMs = Math.max(blockMs, now - before);
    before = now;
  }, 1);
}

function read(): Usage {
  clearInterval(watching);
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed: heap, external } = process.memoryUsage();
  const usage = { cpuMs: (user + system) / 1000, rss, heap, external, blockMs };
  blockMs = 0;
  return usage;
}

const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});

/** What a question makes of the process. */
const answers: Record<Question, () => Usage | null> = {
  watch: () => (watch(), null),
  read,
  collect: () => (collect(), read()),
};

process.on("message", ({ probe }: { probe?: Question }) => {
  if (probe === undefined) return;
  // What came in before the question has had its turn by then.
  setTimeout(() => process.send?.({ probe: answers[probe]() }), 3);
});
// The program decides when the process ends.
process.channel?.unref();
