/** The bundler of the browser's pages. The image has no esbuild: nothing imports this file where `web/dist` is there. */
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build, stop } from "esbuild";

const WEB = fileURLToPath(new URL("../../web/", import.meta.url));

/**
 * Bundles `web/`, in some 200 ms.
 * @returns a script and a style sheet of each page, and the worker of `/app`, by name: `app.js`, `app.css`
 * @throws Error in the compiler's words, for sources that can't be bundled
 */
export async function bundle(): Promise<Map<string, Uint8Array>> {
  try {
    const { outputFiles } = await build({
      absWorkingDir: WEB,
      entryPoints: {
        app: "app/main.tsx",
        worker: "app/worker.ts",
        events: "events/main.tsx",
        guide: "guide/main.ts",
      },
      outdir: "dist",
      tsconfig: "tsconfig.json",
      bundle: true,
      minify: true,
      format: "esm",
      target: ["chrome123", "firefox121", "safari17.5"],
      logLevel: "silent",
      write: false,
    });
    return new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
  } finally {
    // esbuild is a process of its own.
    await stop();
  }
}
