import { readFile } from "node:fs/promises";
import { baseImages, provideImage } from "./base-images.ts";
import { run, step } from "./commands.ts";

const manifest = JSON.parse(await readFile("package.json", "utf8")) as { version: string };

/** The product's version, of package.json. */
export const VERSION = manifest.version;
/** The image that the checks build and run. */
export const IMAGE = `localhost/taskwire:${VERSION}`;

/** Builds the image by the Dockerfile. A second build takes the layers of the first one. Prints a line for each step. */
export async function buildImage(): Promise<void> {
  for (const base of baseImages(await readFile("Dockerfile", "utf8")))
    await step("base", () => provideImage(base), String);
  const revision = await run("git", ["rev-parse", "HEAD"]);
  const args = [`VERSION=${VERSION}`, `REVISION=${revision}`].flatMap((arg) => ["--build-arg", arg]);
  const options = ["--isolation", "chroot", "--format", "docker", "--pull-never", "--layers", "--quiet"];
  await step(
    "build",
    () => run("buildah", ["bud", ...options, ...args, "--tag", IMAGE, "."], { seconds: 900 }),
    () => IMAGE,
  );
}
