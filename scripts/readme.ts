/** `npm run readme`: writes the table of variables into README.md. */
import { readFile, writeFile } from "node:fs/promises";
import { documentConfig } from "../core/config.ts";

const file = new URL("../README.md", import.meta.url);
const readme = await readFile(file, "utf8");
const [before, after] = [readme.indexOf("<!-- variables -->"), readme.indexOf("<!-- /variables -->")];
if (before < 0 || after < 0) throw new Error("README.md has no <!-- variables --> marks");
const table = `<!-- variables -->\n<!-- prettier-ignore -->\n${documentConfig()}\n\n`;
await writeFile(file, readme.slice(0, before) + table + readme.slice(after));
