/** The projects of the user, as the client keeps them up to date. */
import { useMemo, useState } from "preact/hooks";
import { type OwnProject, unwrap } from "../../client/src/index.ts";
import { client } from "../shared/client.ts";
import { field } from "../shared/fields.ts";
import { faultOf, useSnapshot } from "../shared/hooks.ts";
import { Plus } from "../shared/icons.tsx";
import { Dialog } from "./dialog.tsx";
import { go, toProject } from "./route.ts";

export interface Projects {
  /** Null until they are known. */
  items: readonly OwnProject[] | null;
}

export function useProjects(): Projects {
  const { status, projects } = useSnapshot(useMemo(() => client.me(), []));
  return { items: status === "loading" ? null : projects };
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
  const { items } = projects;
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
        {items === null && <p class="loading">Reading your projects …</p>}
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
