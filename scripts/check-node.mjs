// Runs first, on any version of Node, so it has no TypeScript and no new syntax.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Node >= 22.18 is needed, this is ${process.versions.node}. \`npm ci\` brings one for Linux and Windows on x64 and ` +
      "Linux on arm64; elsewhere install Node 24, then run `npm ci` again.",
  );
  process.exit(1);
}
