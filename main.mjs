// The program. It checks the version of Node first: an older Node can't read TypeScript and fails with a page of errors.
import "./scripts/check-node.mjs";

await import("./main.ts");
