/** Runs the test vectors of test/vectors (docs/write-a-client.md, Test vectors). */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../../local/until.ts";
import { Api, PASSWORD } from "./api.ts";
import type { Wire } from "./answer.ts";
import { type Frame, type Next, RawSocket } from "./raw-socket.ts";
import type { ServerActions } from "./server-actions.ts";

type Step =
  | { user: string }
  | { rest: string; as?: string; body?: Wire; expect?: Wire }
  | { server: keyof ServerActions; with?: Wire }
  | { connect: Wire; refused?: Wire }
  | { receive: Frame[]; any_order?: boolean }
  | { send: Frame; answer: Wire }
  | { quiet_ms: number }
  | { disconnect: true }
  | { ended: string }
  | { state: { next: string; cursors?: Wire; fetch?: string[]; titles?: string[] } };

/** A client that vectors can be played with. It does nothing by itself. */
export interface VectorClient {
  readonly cursors: ReadonlyMap<string, object>;
  /** Streams whose state is to be fetched. */
  readonly fetch: Set<string>;
  /** The tasks that it shows, by id. */
  readonly tasks: ReadonlyMap<string, { title: string | null }>;
  /** Frames that nobody has taken yet. */
  readonly frames: Frame[];
  readonly next: Next;
  /** How the last connection ended; null while it is open. */
  readonly ended: "by server" | "by connection" | null;
  /** @returns the problem of a refused handshake; null when the socket is open */
  connect(auth: object): Promise<Wire>;
  /** Sends a request. @returns its acknowledgement */
  ask(name: string, request: Wire): Promise<Wire>;
  disconnect(): void;
}

export interface Vector {
  name: string;
  about: string;
  steps: Step[];
}

const FOLDER = new URL("../vectors/", import.meta.url);
const RECEIVE_MS = 10_000;

export const readVectors = (): Vector[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .map((file) => JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) as Vector);

/** Values by name: `{ada.token}` in a vector stands for one. */
class Variables {
  readonly #values = new Map<string, string>();

  set(name: string, value: string): void {
    this.#values.set(name, value);
  }

  /** @throws Error for a name without a value */
  fill(template: Wire): Wire {
    if (typeof template === "string")
      return template.replace(/\{([\w.]+)\}/g, (_, name: string) => {
        const value = this.#values.get(name);
        if (value === undefined) throw new Error(`{${name}} has no value yet`);
        return value;
      });
    if (Array.isArray(template)) return template.map((item) => this.fill(item));
    if (typeof template !== "object" || template === null) return template;
    return Object.fromEntries(
      Object.entries(template).map(([key, value]) => [this.fill(key), this.fill(value)]),
    );
  }

  /**
   * Whether a value is as a pattern says. Fields that the pattern lacks may have any value. A name without a value gets it
   * here.
   */
  matches(pattern: Wire, value: Wire): boolean {
    const name = typeof pattern === "string" ? /^\{([\w.]+)\}$/.exec(pattern)?.[1] : undefined;
    if (name !== undefined && !this.#values.has(name)) {
      if (typeof value !== "string") return false;
      this.#values.set(name, value);
      return true;
    }
    if (typeof pattern === "string") return this.fill(pattern) === value;
    if (Array.isArray(pattern))
      return (
        Array.isArray(value) &&
        pattern.length === value.length &&
        pattern.every((item, at) => this.matches(item, value[at]))
      );
    if (typeof pattern !== "object" || pattern === null) return pattern === value;
    return (
      typeof value === "object" &&
      value !== null &&
      Object.entries(pattern).every(([key, inner]) => this.matches(inner, value[this.fill(key) as string]))
    );
  }
}

/** @throws Error that names the step that failed */
export async function runVector(
  { steps }: Vector,
  url: string,
  actions: ServerActions,
  client: VectorClient = new RawSocket(url),
): Promise<void> {
  const variables = new Variables();
  const api = new Api(url);

  const expectMatch = (pattern: Wire, value: Wire): void => {
    if (!variables.matches(pattern, value)) throw new Error(`got ${JSON.stringify(value)}`);
  };

  async function run(step: Step): Promise<void> {
    if ("user" in step) {
      const { id, token, username } = await api.person(step.user);
      const known = { id, token, username, password: PASSWORD };
      for (const [name, value] of Object.entries(known)) variables.set(`${step.user}.${name}`, value);
    } else if ("rest" in step) {
      const [method, path] = (variables.fill(step.rest) as string).split(" ") as [string, string];
      const caller = step.as === undefined ? api : api.as(variables.fill(`{${step.as}.token}`) as string);
      expectMatch(step.expect ?? {}, (await caller.must(method, path, variables.fill(step.body))) ?? {});
    } else if ("server" in step) {
      await actions[step.server](variables.fill(step.with ?? {}) as never);
    } else if ("connect" in step) {
      expectMatch(step.refused ?? null, await client.connect(variables.fill(step.connect) as object));
    } else if ("receive" in step) {
      await until(() => client.frames.length >= step.receive.length, RECEIVE_MS);
      const got = client.frames.splice(0, step.receive.length);
      if (got.length < step.receive.length) throw new Error(`got only ${JSON.stringify(got)}`);
      for (const [name, pattern] of step.receive) {
        const at = step.any_order === true ? got.findIndex(([other]) => other === name) : 0;
        const [frame] = got.splice(at, 1);
        expectMatch([name, pattern], frame);
      }
    } else if ("send" in step) {
      const [name, request] = variables.fill(step.send) as Frame;
      expectMatch(step.answer, await client.ask(name, request));
    } else if ("quiet_ms" in step) {
      await delay(step.quiet_ms);
      expectMatch([], client.frames);
    } else if ("disconnect" in step) {
      client.disconnect();
    } else if ("ended" in step) {
      await until(() => client.ended !== null, RECEIVE_MS);
      expectMatch(step.ended, client.ended);
    } else {
      const { next, cursors, fetch, titles } = step.state;
      expectMatch(next, client.next);
      const known = Object.fromEntries(client.cursors);
      if (cursors !== undefined) {
        expectMatch(cursors, known);
        expectMatch(Object.keys(cursors).length, Object.keys(known).length);
      }
      if (fetch !== undefined)
        expectMatch((variables.fill(fetch) as string[]).sort(), [...client.fetch].sort());
      client.fetch.clear();
      if (titles !== undefined)
        expectMatch([...titles].sort(), [...client.tasks.values()].map(({ title }) => title).sort());
    }
  }

  try {
    for (const [at, step] of steps.entries())
      await run(step).catch((error: Error) => {
        throw new Error(`step ${at + 1}, ${JSON.stringify(step)}: ${error.message}`, { cause: error });
      });
    expectMatch([], client.frames);
  } finally {
    client.disconnect();
  }
}
