// The program. It looks at the version of Node first: an older one can't even read TypeScript, and says so in a page.
import "./scripts/check-node.mjs";

await import("./main.ts");
