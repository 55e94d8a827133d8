/** What of the SDK is seen without a server: its size, its dependencies, its reference. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { expect, test } from "@jest/globals";
import { build } from "esbuild";
import { generateReference, REFERENCE } from "../../scripts/sdk-reference.ts";

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
  devDependencies?: Record<string, string>;
}

const MOST_BYTES = 15_000;
const root = new URL("../../", import.meta.url);

test("the client has 15 kB at most, gzip, without its two dependencies", async () => {
  const manifest = JSON.parse(await readFile(new URL("client/package.json", root), "utf8")) as Manifest;
  const { outputFiles, metafile } = await build({
    entryPoints: [fileURLToPath(new URL("client/src/index.ts", root))],
    external: Object.keys(manifest.dependencies),
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
    metafile: true,
  });
  expect(Object.keys(manifest.dependencies).sort()).toEqual(["openapi-fetch", "socket.io-client"]);
  // Nothing of Node, and nothing of other packages.
  const imported = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  expect([...new Set(imported)].sort()).toEqual(["openapi-fetch", "socket.io-client"]);
  const size = gzipSync(outputFiles[0]?.contents ?? "").byteLength;
  expect(size).toBeGreaterThan(1000);
  expect(size).toBeLessThanOrEqual(MOST_BYTES);
});

test("the client's versions are those of the repository", async () => {
  const [own, ours] = await Promise.all(
    ["client/package.json", "package.json"].map(
      async (path) => JSON.parse(await readFile(new URL(path, root), "utf8")) as Manifest,
    ),
  );
  const pinned = { ...ours?.dependencies, ...ours?.devDependencies };
  expect(own?.version).toBe(ours?.version);
  for (const [name, version] of Object.entries(own?.dependencies ?? {})) expect(pinned[name]).toBe(version);
});

test("client/docs/api-reference.md is what `npm run sdk:reference` writes", async () => {
  expect(await readFile(REFERENCE, "utf8")).toBe(await generateReference());
});
