/** What is in the image: the product's committed files, the packages of its SBOM, and no tools. */
import { readFile } from "node:fs/promises";
import { run } from "./commands.ts";
import { runOnce } from "./container.ts";

/** Programs that would help an intruder, and that no node needs. */
const TOOLS = [
  "sh",
  "bash",
  "dash",
  "busybox",
  "perl",
  "apt",
  "dpkg",
  "curl",
  "wget",
  "npm",
  "npx",
  "corepack",
  "yarn",
];

/** Files that the build makes, and git does not have. */
const BUILT = /^web\/dist\/(app|events)\.(js|css)$/;

/** Runs in the image: its own files, packages and Node, the programs on its PATH. */
const LOOK = `
  const fs = require("node:fs"), path = require("node:path");
  const files = fs.readdirSync("/app", { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative("/app", path.join(entry.parentPath, entry.name)));
  const isPackage = /^node_modules\\/(?:.+\\/node_modules\\/)?(?:@[^/]+\\/)?[^/]+\\/package\\.json$/;
  console.log(JSON.stringify({
    own: files.filter((file) => !file.startsWith("node_modules/")),
    packages: files.filter((file) => isPackage.test(file)).map((file) => {
      const { name, version } = JSON.parse(fs.readFileSync(path.join("/app", file), "utf8"));
      return name + "@" + version;
    }).concat("node@" + process.versions.node),
    programs: process.env.PATH.split(":").flatMap((folder) => fs.existsSync(folder) ? fs.readdirSync(folder) : []),
  }));`;

interface Contents {
  own: string[];
  packages: string[];
  programs: string[];
}

/**
 * Compares the image with the commit and the SBOM.
 * @param sbom path of the CycloneDX document
 * @returns a line about it. @throws Error which names what does not belong into the image, or is missing in the SBOM
 */
export async function checkContents(image: string, sbom: string): Promise<string> {
  const { own, packages, programs } = JSON.parse(await runOnce(image, ["node", "-e", LOOK])) as Contents;
  const tracked = new Set(
    (await run("git", ["ls-files", "--cached", "--others", "--exclude-standard"])).split("\n"),
  );
  const bill = JSON.parse(await readFile(sbom, "utf8")) as {
    components: { name: string; version: string }[];
  };
  const listed = new Set(bill.components.map(({ name, version }) => `${name}@${version}`));
  const faults = [
    ...own
      .filter((file) => !tracked.has(file) && !BUILT.test(file))
      .map((file) => `${file} is in the image, and not in git`),
    ...own.filter((file) => file.startsWith("test/")).map((file) => `${file} is in the image`),
    ...packages
      .filter((name) => !listed.has(name))
      .map((name) => `${name} is in the image, and not in the SBOM`),
    ...[...listed].filter((name) => !packages.includes(name)).map((name) => `${name} is in the SBOM alone`),
    ...programs.filter((program) => TOOLS.includes(program)).map((program) => `${program} is in the image`),
  ];
  if (faults.length > 0) throw new Error(faults.join("\n"));
  return `${own.length} files of the product, ${packages.length} packages, all of them in the SBOM; no shell, no npm`;
}
