import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { shelter } from "../../local/postgres/binaries.ts";

/**
 * Has buildah, podman and podman-compose keep their images apart from those of the machine, since some of them stand in
 * for others under their names: in /var/lib/taskwire/containers, which may be deleted. Needs root.
 */
export async function useOwnStorage(): Promise<void> {
  const folder = join(await shelter(), "containers");
  await mkdir(folder, { recursive: true });
  const file = join(folder, "storage.conf");
  const places = `graphroot = "${join(folder, "storage")}"\nrunroot = "${join(folder, "run")}"\n`;
  await writeFile(file, `[storage]\ndriver = "overlay"\n${places}`);
  process.env.CONTAINERS_STORAGE_CONF = file;
}
