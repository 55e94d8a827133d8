/**
 * `npm run sdk [-- <node>]`: the package as its users get it. Packs client/, installs it from the registry's
 * dependencies into an empty project, runs README's first program there with the given Node (this one by default) against a
 * system of its own, checks its types, and bundles it for browsers.
 */
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { explain } from "../core/explain.ts";
import { freePort } from "../local/ports.ts";
import { until } from "../local/until.ts";
import { runProgram } from "../test/support/program.ts";

const CLIENT = fileURLToPath(new URL("../client/", import.meta.url));
const WITHIN_MS = 120_000;
const PASSWORD = "correct horse battery";
const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function run(cwd: string, file: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args, { cwd, timeout: WITHIN_MS });
  return stdout;
}

/** POSTs JSON. @throws Error where that is refused */
async function post(url: string, body: object, token?: string): Promise<Record<string, string>> {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`POST ${url}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Record<string, string>;
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
    await run(CLIENT, "npm", "run", "build");
    await run(CLIENT, "npm", "pack", "--ignore-scripts", "--pack-destination", folder);
    const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
    if (tarball === undefined) throw new Error("npm pack made nothing");
    await writeFile(join(folder, "package.json"), '{ "name": "empty", "private": true, "type": "module" }\n');
    await run(folder, "npm", "install", "--no-audit", "--no-fund", `./${tarball}`);
    say(`installed ${tarball}`);

    const isUp = await until(
      () =>
        fetch(`${url}/ready`).then(
          ({ ok }) => ok,
          () => false,
        ),
      WITHIN_MS,
    );
    if (!isUp) throw new Error(`the system did not start:\n${server.output()}`);
    await post(`${url}/auth/register`, { username: "ada", email: "ada@example.com", password: PASSWORD });
    const { access_token } = await post(`${url}/auth/login`, { login: "ada", password: PASSWORD });
    const { id } = await post(`${url}/projects`, { name: "Launch" }, access_token);

    const readme = await readFile(join(folder, "node_modules/@taskwire/client/README.md"), "utf8");
    const [, program = ""] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
    // Its server and its project are these, and it ends.
    const readers = `${program}await client.close();\n`
      .replaceAll("http://127.0.0.1:3000", url)
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, id as string);
    await writeFile(join(folder, "readme.js"), readers);
    const output = await run(folder, node, "readme.js");
    if (!output.includes("Ship it") || !output.includes("the server calls it"))
      throw new Error(`README said:\n${output}`);
    say(`README's program ran under ${(await run(folder, node, "--version")).trim()}`);

    await writeFile(join(folder, "readme.ts"), readers);
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
      folder,
      fileURLToPath(new URL("../node_modules/.bin/tsc", import.meta.url)),
      ...flags,
      "readme.ts",
    );
    say("its types compile, without skipLibCheck");

    const { outputFiles } = await build({
      entryPoints: [join(folder, "readme.js")],
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
