/** `npm run web`: bundles the browser's pages into `web/dist`, for an installation that has no bundler (Dockerfile). */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { bundle } from "../services/api-gateway/bundle.ts";

const DIST = new URL("../web/dist/", import.meta.url);

const files = await bundle();
await rm(DIST, { recursive: true, force: true });
await mkdir(DIST);
for (const [name, contents] of files) await writeFile(new URL(name, DIST), contents);
