/** Where the reader is: `#/`, `#/p/<project>`, `#/p/<project>/t/<task>`, `#/demo`. */
import { useEffect, useState } from "preact/hooks";

export interface Route {
  project: string | null;
  task: string | null;
  demo: boolean;
}

export function readRoute(hash: string): Route {
  const [, place, project = null, , task = null] = hash.replace(/^#/, "").split("/");
  if (place === "p") return { project, task, demo: false };
  return { project: null, task: null, demo: place === "demo" };
}

export const toHome = "#/";
export const toProject = (project: string): string => `#/p/${project}`;
export const toTask = (project: string, task: string): string => `#/p/${project}/t/${task}`;
export const go = (hash: string): void => void (location.hash = hash);

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const moved = (): void => setHash(location.hash);
    window.addEventListener("hashchange", moved);
    return () => window.removeEventListener("hashchange", moved);
  }, []);
  return readRoute(hash);
}
