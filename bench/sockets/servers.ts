/** The servers that `npm run bench:sockets` measures, each with a notifier's work in a process of its own. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ApiClient } from "../system.ts";
import { sharedNow } from "./clients.ts";
import type { Emission } from "./peers.ts";
import type { Question, Usage } from "./probe.ts";
import type { Member, World } from "./world.ts";

export interface MeasuredServer {
  name: string;
  port: number;
  path: string;
  /** What a socket says first. */
  authOf(member: Member): object;
  ask(question: Question): Promise<Usage>;
  /** Milliseconds of CPU of the database so far; 0 without one. */
  databaseMs(): Promise<number>;
  /** Writes an event for all sockets. */
  writeToAll(): Promise<void>;
  /** Writes one event for each of these teams. */
  writeToTeams(teams: number[]): Promise<void>;
  stop(): Promise<void>;
}

/** A write that is refused for the moment is sent again. */
const [RETRY_MS, MAX_TRIES] = [200, 50];

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const NODE_OPTIONS = ["--disable-warning=ExperimentalWarning", "--expose-gc", "--import", here("probe.ts")];

function askOver(child: ChildProcess): MeasuredServer["ask"] {
  return async (question) => {
    child.send({ probe: question });
    for (;;) {
      const [{ probe }] = (await once(child, "message")) as [{ probe?: Usage }];
      if (probe !== undefined) return probe;
    }
  };
}

/** The title of an event says when it was written. */
const titleOf = (room: "all" | "some"): string => `bench ${room} ${sharedNow().toFixed(3)}`;

/** @param kind what bench/sockets/peers.ts can be */
export async function startPeer(
  kind: "socket.io" | "ws",
  env: Record<string, string>,
  { members, teams }: World,
): Promise<MeasuredServer> {
  const child = fork(here("peers.ts"), [kind], { execArgv: NODE_OPTIONS, env: { ...process.env, ...env } });
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  const [allRoom = ""] = members.map(({ rooms }) => rooms[2]);
  const emit = async (emissions: Emission[]): Promise<void> => void child.send({ emissions });
  return {
    name: `bare ${kind}`,
    port,
    path: kind === "ws" ? "/" : "/ws/?EIO=4&transport=websocket",
    authOf: ({ token, rooms }) => ({ token, rooms }),
    ask: askOver(child),
    databaseMs: async () => 0,
    writeToAll: () => emit([{ room: allRoom, title: titleOf("all") }]),
    writeToTeams: (nths) =>
      emit(nths.map((nth) => ({ room: `project:${teams[nth]}`, title: titleOf("some") }))),
    async stop() {
      const ended = once(child, "exit");
      child.disconnect();
      await ended;
    },
  };
}

/** CPU milliseconds of a process and its children, as Linux counts them in ticks of 10 ms. */
async function treeMs(parent: number): Promise<number> {
  let sum = 0;
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // The parent also counts its children that have ended.
    const [from, to] = Number(entry) === parent ? [11, 15] : Number(fields[1]) === parent ? [11, 13] : [0, 0];
    for (const ticks of fields.slice(from, to)) sum += Number(ticks) * 10;
  }
  return sum;
}

export interface Writer {
  api: ApiClient;
  token: string;
}

/** The notifier of a running system, as a server. */
export function notifierOf(
  nodes: Nodes,
  port: number,
  postmaster: number,
  { api, token }: Writer,
  { all, teams }: World,
): MeasuredServer {
  const child = nodes.get("notifier") as ChildProcess;
  return {
    name: "Taskwire",
    port,
    path: "/ws/?EIO=4&transport=websocket",
    authOf: ({ token }) => ({ token }),
    ask: askOver(child),
    databaseMs: () => treeMs(postmaster),
    async writeToAll() {
      await api.must("POST", `/projects/${all}/tasks`, { token, body: { title: titleOf("all") } });
    },
    async writeToTeams(nths) {
      const tasks = nths.map((nth) => ({ project_id: teams[nth], title: titleOf("some") }));
      const [first] = tasks;
      if (tasks.length === 1) await api.must("POST", "/tasks", { token, body: first as object });
      else {
        const operations = tasks.map((task) => ({ op: "create", ...task }));
        const write = () => api.request("POST", "/tasks/bulk", { token, body: { operations } });
        let response = await write();
        // A machine that does other things too is overloaded at times.
        for (let tries = 0; response.status === 503 && tries < MAX_TRIES; tries++) {
          await delay(RETRY_MS);
          response = await write();
        }
        if (!response.ok) throw new Error(`a bulk of tasks: ${response.status} ${await response.text()}`);
      }
    },
    stop: async () => {},
  };
}

/** Taskwire's nodes, by name: each is told to stop and is waited for at the end. */
export class Nodes {
  readonly #children = new Map<string, ChildProcess>();

  get(name: string): ChildProcess | undefined {
    return this.#children.get(name);
  }

  /**
   * Starts nodes, whose logs go to files in `dir`, as those of a machine in production.
   * @throws Error with the last lines of a node that ended before it served
   */
  async start(dir: string, envs: Record<string, Record<string, string>>): Promise<void> {
    await Promise.all(
      Object.entries(envs).map(async ([name, env]) => {
        const path = join(dir, `${name}.log`);
        const file = openSync(path, "a");
        const child = fork(here("../../main.ts"), {
          execArgv: NODE_OPTIONS,
          env: { ...process.env, ...env },
          stdio: ["ignore", file, file, "ipc"],
        });
        closeSync(file);
        this.#children.set(name, child);
        const ended = once(child, "exit").then(async () => {
          const lines = await readFile(path, "utf8").catch(() => "");
          throw new Error(
            `${name} ended before it served:\n${lines.trim().split("\n").slice(-5).join("\n")}`,
          );
        });
        await Promise.race([once(child, "message"), ended]);
        ended.catch(() => {});
      }),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.#children.values()].map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, "exit");
        child.kill("SIGTERM");
        await ended;
      }),
    );
  }
}
