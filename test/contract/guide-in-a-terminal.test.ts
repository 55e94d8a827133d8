/** The pages' blocks of shell, word for word but for the server's address, in their order: Start first, as a reader does. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type CodeBlock, fileOf, isShell, PAGES_WITH_CODE, readBlocks } from "../support/code-blocks.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { Terminal } from "../support/terminal.ts";

const isRun = (block: CodeBlock): boolean =>
  isShell(block) && (block.mark === null || block.mark.kind === "runs on");
/** The pages with commands for a terminal; those that go on from Start come after it. */
const WITH_COMMANDS = ["docs/guide.md", "docs/rest.md", "docs/realtime.md", "docs/operations.md"];
const pages = new Map(
  await Promise.all(
    PAGES_WITH_CODE.map(async (page): Promise<[string, CodeBlock[]]> => [page, await readBlocks(page)]),
  ),
);

const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
/** JSON in which ids and the request are anybody's. */
const comparable = (json: string): unknown => ({
  ...(JSON.parse(json.replaceAll(UUID, "an id")) as object),
  request_id: "any",
});
/** The end of a line of an output, with `…` for what differs each time; what runs on prints between others. */
const lineOf = (line: string): RegExp => new RegExp(`${line.split("…").map(RegExp.escape).join(".*")}$`, "m");
const A_PROBLEM = /"type":"\/problems\//;

let node: TestNode;
/** The reader's folder, `my-board`. */
let folder: string;

beforeAll(async () => {
  node = await startTestNode();
  folder = await mkdtemp(join(tmpdir(), "taskwire-reader-"));
  // Installed, but for the registry: the sources stand for the package (NODE_OPTIONS, below).
  await mkdir(join(folder, "node_modules/@taskwire"), { recursive: true });
  await symlink(resolve("client"), join(folder, "node_modules/@taskwire/client"));
  await symlink(resolve("node_modules/socket.io-client"), join(folder, "node_modules/socket.io-client"));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }\n');
});
afterAll(async () => {
  await node?.stop();
  await rm(folder, { recursive: true, force: true });
});

test("no other page has commands without a mark", () => {
  const found = [...pages].filter(([, blocks]) => blocks.some(isRun)).map(([page]) => page);
  expect(found.sort()).toEqual([...WITH_COMMANDS].sort());
});

test.each(WITH_COMMANDS)("%s does what it says", async (page) => {
  const blocks = pages.get(page) as CodeBlock[];
  const here = (text: string): string => text.replaceAll("127.0.0.1:3000", new URL(node.url).host);
  const terminal = new Terminal(folder, {
    PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
    HOME: folder,
    NODE_OPTIONS: "--conditions=taskwire-source --disable-warning=ExperimentalWarning",
  });
  let printed = "";
  let before = 0;
  try {
    for (const [at, block] of blocks.entries()) {
      const file = fileOf(block);
      if (file !== null) await writeFile(join(folder, file), here(block.code));
      const next = blocks[at + 1];
      if (isRun(block)) {
        before = terminal.output.length;
        if (block.mark?.kind === "runs on") await terminal.runOn(here(block.code), block.mark.text);
        else {
          printed = await terminal.run(here(block.code));
          // A problem is one that the page shows.
          if (next?.lang !== "json") expect(printed).not.toMatch(A_PROBLEM);
        }
      } else if (block.lang === "text" && block.mark === null)
        for (const line of block.code.split("\n")) await terminal.prints(lineOf(line), before);
      else if (block.lang === "json" && at > 0 && isRun(blocks[at - 1] as CodeBlock))
        expect(comparable(printed.trim().split("\n").at(-1) as string)).toEqual(comparable(block.code));
    }
  } finally {
    await terminal.close();
  }
});
