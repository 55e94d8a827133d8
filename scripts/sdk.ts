/**
 * `npm run sdk [-- <node>]`: the package as its users get it. Packs client/ and installs it into an empty project, by the
 * commands of docs/guide.md, runs README's first program there with the given Node (this one by default) against a system of
 * its own, checks its types, and bundles it for browsers.
 */
import { execFile } from "node:child_process";
import { chmod, cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { explain } from "../core/explain.ts";
import { freePort } from "../local/ports.ts";
import { until } from "../local/until.ts";
import { readBlocks } from "../test/support/code-blocks.ts";
import { runProgram } from "../test/support/program.ts";

const CLIENT = fileURLToPath(new URL("../client/", import.meta.url));
const WITHIN_MS = 120_000;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function run(cwd: string, file: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args, { cwd, timeout: WITHIN_MS });
  return stdout;
}

/** Follows docs/guide.md, from the folder of the repository on. @returns the folder of the project that it makes */
async function install(folder: string): Promise<string> {
  // Of the repository there is what the package is made of.
  const repository = join(folder, "taskwire");
  await cp(CLIENT, join(repository, "client"), {
    recursive: true,
    filter: (path) => !path.endsWith("dist"),
  });
  const packages = fileURLToPath(new URL("../node_modules", import.meta.url));
  await symlink(packages, join(repository, "node_modules"));
  const block = (await readBlocks("docs/guide.md")).find(({ code }) => code.includes("npm pack"));
  if (block === undefined) throw new Error("docs/guide.md does not say how to get the SDK");
  await run(repository, "bash", "-ec", block.code);
  return join(folder, "my-board");
}

async function check(node: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "taskwire-client-"));
  // Postgres' own user must reach the folder.
  await chmod(folder, 0o755);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = runProgram(fileURLToPath(new URL("../main.mjs", import.meta.url)), {
    PORT: String(port),
    DATA_DIR: join(folder, "data"),
  });
  try {
    const project = await install(folder);
    say("packed and installed, as docs/guide.md says");

    const isUp = await until(
      () =>
        fetch(`${url}/ready`).then(
          ({ ok }) => ok,
          () => false,
        ),
      WITHIN_MS,
    );
    if (!isUp) throw new Error(`the system did not start:\n${server.output()}`);
    const readme = await readFile(join(project, "node_modules/@taskwire/client/README.md"), "utf8");
    const [, program = ""] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
    // Its server is this one, and it ends.
    const readers = `${program}await client.close();\n`.replaceAll("http://127.0.0.1:3000", url);
    await writeFile(join(project, "readme.js"), readers);
    const output = await run(project, node, "readme.js");
    if (!output.includes("Ship it") || !output.includes("the server calls it"))
      throw new Error(`README said:\n${output}`);
    say(`README's program ran under ${(await run(project, node, "--version")).trim()}`);

    await writeFile(join(project, "readme.ts"), readers);
    const flags = [
      "--noEmit",
      "--strict",
      "--module",
      "nodenext",
      "--target",
      "es2023",
      "--lib",
      "es2023,dom",
    ];
    await run(
      project,
      fileURLToPath(new URL("../node_modules/.bin/tsc", import.meta.url)),
      ...flags,
      "readme.ts",
    );
    say("its types compile, without skipLibCheck");

    const { outputFiles } = await build({
      entryPoints: [join(project, "readme.js")],
      bundle: true,
      minify: true,
      format: "esm",
      platform: "browser",
      write: false,
    });
    const size = gzipSync(outputFiles[0]?.contents ?? "").byteLength;
    say(`a browser's bundle of it has ${(size / 1000).toFixed(1)} kB, gzip, with its dependencies`);
  } finally {
    server.signal("SIGTERM");
    await server.ended;
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  await check(process.argv[2] ?? process.execPath);
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
}
