import { rename, stat } from "node:fs/promises";

/** Whether `path` exists. Throws when this user may not look. */
export function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
}

/** Moves a finished folder to its place in one step; of two processes that do so at once the first wins. */
export async function renameUnlessThere(draft: string, target: string): Promise<void> {
  await rename(draft, target).catch(async (error: unknown) => {
    if (!(await exists(target))) throw error;
  });
}
