/** client/examples and the README's programs, run as a reader runs them. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { until } from "../../local/until.ts";
import type { Person } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

const CLIENT = new URL("../../client/", import.meta.url);

class Running {
  readonly #child: ChildProcessWithoutNullStreams;
  output = "";

  constructor(args: string[]) {
    // The client's own sources stand for the package.
    this.#child = spawn(process.execPath, ["--conditions=taskwire-source", ...args], { cwd: CLIENT });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on("data", (data: Buffer) => (this.output += data.toString()));
  }

  async said(what: string): Promise<void> {
    if (!(await until(() => this.output.includes(what), 15_000)))
      throw new Error(`no ${what} in:\n${this.output}`);
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** @returns its exit code */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const { promise, resolve } = Promise.withResolvers<number | null>();
    this.#child.once("close", resolve);
    if (this.#child.exitCode !== null || !this.#child.kill(signal)) return this.#child.exitCode;
    return promise;
  }

  /** Ends as a person ends it: by the end of the input. */
  async leave(): Promise<number | null> {
    const { promise, resolve } = Promise.withResolvers<number | null>();
    this.#child.once("close", resolve);
    this.#child.stdin.end();
    return promise;
  }
}

let node: TestNode;
let ada: Person;
let project: string;
const programs: Running[] = [];
const run = (...args: string[]): Running => {
  const program = new Running(args);
  programs.push(program);
  return program;
};

beforeAll(async () => {
  node = await startTestNode();
  ada = await node.api.person("ada");
  ({ id: project } = await ada.api.must("POST", "/projects", { name: "Launch" }));
});
afterAll(() => node?.stop());
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.end("SIGKILL")));
});

const personalToken = async (): Promise<string> =>
  (await ada.api.must("POST", "/auth/tokens", { name: "example", scope: "write" })).token;

test("the board in a terminal shows what others do, and what is typed", async () => {
  const board = run("examples/board.ts", node.url, await personalToken(), project);
  await board.said("Launch  (live, ready, 0 waiting)");
  await ada.api.must("POST", `/projects/${project}/tasks`, { title: "From elsewhere" });
  await board.said("1  From elsewhere");
  board.type("Typed here");
  await board.said("2  Typed here");
  board.type("> 1");
  await board.said("IN_PROGRESS\n  2  From elsewhere");
  board.type("x 1");
  expect(
    await until(
      async () => (await ada.api.get(`/projects/${project}/tasks`)).body.items.length === 1,
      10_000,
    ),
  ).toBe(true);
  expect(await board.leave()).toBe(0);
});

test("of two workers each task is done by one", async () => {
  const titles = ["a", "b", "c", "d", "e", "f"];
  const { id } = await ada.api.must("POST", "/projects", { name: "Work" });
  const token = await personalToken();
  const workers = ["left", "right"].map((name) => run("examples/worker.ts", node.url, token, id, name));
  await Promise.all(workers.map((worker, at) => worker.said(`${["left", "right"][at]} is ready`)));
  await Promise.all(titles.map((title) => ada.api.must("POST", `/projects/${id}/tasks`, { title })));
  const done = (): string[] =>
    workers.flatMap(({ output }) => output.split("\n").filter((line) => line.includes(": done by")));
  expect(await until(() => done().length === titles.length, 15_000)).toBe(true);
  expect(
    done()
      .map((line) => line[0])
      .sort(),
  ).toEqual(titles);
  const { items } = (await ada.api.get(`/projects/${id}/tasks?status=completed`)).body;
  expect(items).toHaveLength(titles.length);
  for (const worker of workers) expect(await worker.end("SIGTERM")).toBe(0);
  // Nobody did one again, nor saw an error.
  expect(workers.flatMap(({ output }) => output.trim().split("\n"))).toHaveLength(titles.length + 2);
});

test("the README's program runs word for word", async () => {
  const readme = await readFile(new URL("README.md", CLIENT), "utf8");
  const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block]) => block as string);
  // Its server is that of this test, its user a new one, and it ends.
  const program = [...blocks, "await client.close();"]
    .join("\n")
    .replaceAll("http://127.0.0.1:3000", node.url)
    .replaceAll(/\bada\b/g, `ada-${Date.now()}`);
  const readers = run("--input-type=module", "--eval", program);
  await readers.said("the server calls it ");
  expect(readers.output).toContain("[ 'Ship it' ]");
  expect(readers.output).not.toContain("Error");
});
