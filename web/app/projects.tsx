/** The projects of the user: read once, and again when an event says that they changed. */
import { useCallback, useEffect, useState } from "preact/hooks";
import { unwrap } from "../../client/src/index.ts";
import { client } from "../shared/client.ts";
import { field } from "../shared/fields.ts";
import { faultOf } from "../shared/hooks.ts";
import { Plus } from "../shared/icons.tsx";
import { Dialog } from "./dialog.tsx";
import { go, toProject } from "./route.ts";

const readPage = async (cursor: string | null) =>
  unwrap(
    client.rest.GET("/projects", {
      params: { query: { limit: 100, sort: ["name"], ...(cursor !== null && { cursor }) } },
    }),
  );
export type ProjectItem = Awaited<ReturnType<typeof readPage>>["items"][number];

async function readAll(): Promise<ProjectItem[]> {
  const items: ProjectItem[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof readPage>> = await readPage(cursor);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return items;
}

export interface Projects {
  /** Null until they were read. */
  items: readonly ProjectItem[] | null;
  fault: string | null;
}

export function useProjects(): Projects {
  const [projects, setProjects] = useState<Projects>({ items: null, fault: null });
  const read = useCallback(() => {
    readAll().then(
      (items) => setProjects({ items, fault: null }),
      (error: unknown) => setProjects(({ items }) => ({ items, fault: faultOf(error) })),
    );
  }, []);
  useEffect(() => {
    read();
    client.connect();
    let timer = 0;
    const ends = [
      client.on("event", ({ type, stream }) => {
        if (!type.startsWith("project_") && !(type.startsWith("member_") && stream.startsWith("user:")))
          return;
        // Several events of one write are one reason to read.
        clearTimeout(timer);
        timer = window.setTimeout(read, 100);
      }),
      client.on("reset", ({ stream }) => stream.startsWith("user:") && read()),
    ];
    return () => {
      clearTimeout(timer);
      for (const end of ends) end();
    };
  }, [read]);
  return projects;
}

export function NewProject({ onClose }: { onClose: () => void }) {
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const description = field(form, "description").trim();
    setBusy(true);
    try {
      const { id } = await unwrap(
        client.rest.POST("/projects", {
          body: { name: field(form, "name"), ...(description !== "" && { description }) },
        }),
      );
      onClose();
      go(toProject(id));
    } catch (error) {
      setFault(faultOf(error));
      setBusy(false);
    }
  }
  return (
    <Dialog label="New project" small onClose={onClose}>
      <form class="sheet" onSubmit={(event) => void submit(event)}>
        <header>
          <h2>New project</h2>
        </header>
        {fault !== null && (
          <p class="fault" role="alert">
            {fault}
          </p>
        )}
        <div>
          <label for="project-name">Name</label>
          <input id="project-name" name="name" required maxLength={200} autofocus />
        </div>
        <div>
          <label for="project-description">Description</label>
          <textarea id="project-description" name="description" rows={3} />
        </div>
        <div class="row">
          <span class="space" />
          <button type="button" class="button quiet" onClick={onClose}>
            Cancel
          </button>
          <button class="button" disabled={isBusy}>
            Create
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function ProjectList({ projects, onNew }: { projects: Projects; onNew: () => void }) {
  const { items, fault } = projects;
  return (
    <main class="page">
      <div>
        <div class="row">
          <h1>Projects</h1>
          <span class="space" />
          <button type="button" class="button" onClick={onNew}>
            <Plus />
            New project
          </button>
        </div>
        {fault !== null && <p class="fault">{fault}</p>}
        {items === null && fault === null && <p class="loading">Reading your projects …</p>}
        {items?.length === 0 && (
          <p class="loading">You are in no project yet. Create one, or let somebody add you to theirs.</p>
        )}
        <ul class="projects">
          {items?.map(({ id, name, slug, role, status }) => (
            <li key={id}>
              <a href={toProject(id)}>
                <strong>{name}</strong>
                <p>{slug}</p>
                <span class="hint">
                  {role === null ? "" : `You are ${role}`}
                  {status === "archived" ? " · archived" : ""}
                </span>
              </a>
            </li>
          ))}
        </ul>
      </div>
    </main>
  );
}
