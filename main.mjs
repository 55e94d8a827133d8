// The program. It checks the version of Node first: an older Node can't read TypeScript and fails with a page of errors.
import "./scripts/check-node.mjs";
import module from "node:module";
import { fileURLToPath, URL } from "node:url";

// Halves the time that modules take from the second start on; where nothing may be written, nothing happens.
module.enableCompileCache(fileURLToPath(new URL("node_modules/.cache/compile", import.meta.url)));

await import("./main.ts");
