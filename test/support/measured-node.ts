/**
 * A node in a process of its own, which says how long its event loop stood still and what it holds in memory. Run by
 * `startMeasuredNode`: what sends the requests would disturb the measure.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Config } from "../../core/config.ts";
import { startNode } from "../../node.ts";
import { freshDatabase } from "./database.ts";
import { testConfig } from "./node.ts";

export interface Measure {
  /**
   * Milliseconds that the longest turn of the event loop worked since the measure began: by the clock of its thread,
   * which stands still while other processes have the machine.
   */
  longestMs: number;
  /** Bytes that are held after a collection of garbage, buffers included. */
  held: number;
  rss: number;
}

export interface MeasuredNode {
  url: string;
  /** Begins a measure. */
  begin(): Promise<void>;
  /** @param collect whether garbage is collected before memory is read */
  read(collect?: boolean): Promise<Measure>;
  signal(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

type Question = "begin" | "read" | "collect" | "stop";

/** @param overrides of the configuration for tests */
export async function startMeasuredNode(overrides: Partial<Config> = {}): Promise<MeasuredNode> {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), {
    execArgv: ["--expose-gc", "--disable-warning=ExperimentalWarning"],
    env: {
      PATH: process.env.PATH,
      MEASURED_NODE: JSON.stringify({ databaseUrl: await freshDatabase(), overrides }),
    },
  });
  const [url] = (await once(child, "message")) as [string];
  const ask = async <T>(question: Question): Promise<T> => {
    child.send(question);
    return ((await once(child, "message")) as [T])[0];
  };
  return {
    url,
    begin: () => ask("begin"),
    read: (collect = false) => ask(collect ? "collect" : "read"),
    signal: (signal) => void child.kill(signal),
    async stop() {
      const ended = once(child, "exit");
      child.send("stop" satisfies Question);
      await ended;
    },
  };
}

async function serve(): Promise<void> {
  const { databaseUrl, overrides } = JSON.parse(process.env.MEASURED_NODE as string) as {
    databaseUrl: string;
    overrides: Partial<Config>;
  };
  const broker = await startNode(testConfig(databaseUrl, overrides));
  const { server } = broker.getLocalService("api-gateway") as unknown as { server: Server };
  const workedMs = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let before = workedMs();
  let longestMs = 0;
  setInterval(() => {
    const now = workedMs();
    longestMs = Math.max(longestMs, now - before);
    before = now;
  }, 1);
  const answer: Record<Question, () => unknown> = {
    begin() {
      longestMs = 0;
      before = workedMs();
      return null;
    },
    read() {
      const { heapUsed, external, rss } = process.memoryUsage();
      return { longestMs, held: heapUsed + external, rss };
    },
    collect: () => ((globalThis as unknown as { gc(): void }).gc(), answer.read()),
    stop: () => broker.stop().then(() => process.exit(0)),
  };
  process.on("message", (question: Question) => {
    if (question === "stop") void answer.stop();
    // What came in before the question has had its turn by then, and was counted.
    else setTimeout(() => process.send?.(answer[question]()), 3);
  });
  process.on("disconnect", () => process.exit(1));
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

if (process.env.MEASURED_NODE !== undefined) await serve();
