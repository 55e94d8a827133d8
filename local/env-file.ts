/** A file of variables for `node --env-file`. */
import { rm, writeFile } from "node:fs/promises";

/** The first kind of quotes that a value does not contain: Node reads all three. */
function quoted(value: string): string {
  const mark = ["'", '"', "`"].find((one) => !value.includes(one));
  if (mark === undefined) throw new Error("a variable contains all three kinds of quotes");
  return `${mark}${value}${mark}`;
}

/**
 * Writes a file that its owner alone may read, since it holds secrets.
 * @returns removes it again
 */
export async function writeEnvFile(
  path: string,
  variables: Record<string, string>,
): Promise<() => Promise<void>> {
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${quoted(value)}\n`);
  await rm(path, { force: true });
  await writeFile(path, lines.join(""), { mode: 0o600, flag: "wx" });
  return () => rm(path, { force: true });
}
