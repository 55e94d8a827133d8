/** `/app`: the board in the browser. It knows the server by `@taskwire/client` alone. */
import "./style.css";
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { User } from "../../client/src/index.ts";
import { client, hasLeft } from "../shared/client.ts";
import { showTheme } from "../shared/theme.ts";
import { Bar } from "./bar.tsx";
import { Board } from "./board.tsx";
import { Door } from "./door.tsx";
import { openOffline } from "./offline.ts";
import { NewProject, ProjectList, useProjects } from "./projects.tsx";
import { useRoute } from "./route.ts";
import { Toasts } from "./toasts.tsx";

function Inside({ user }: { user: User }) {
  const { project, task } = useRoute();
  const projects = useProjects();
  const [isMaking, setMaking] = useState(false);
  const onNewProject = (): void => setMaking(true);
  return (
    <div class="shell">
      {project === null ? (
        <>
          <Bar user={user} projects={projects} onNewProject={onNewProject} />
          <ProjectList projects={projects} onNew={onNewProject} />
        </>
      ) : (
        <Board
          key={project}
          id={project}
          task={task}
          user={user}
          projects={projects}
          onNewProject={onNewProject}
        />
      )}
      {isMaking && <NewProject onClose={() => setMaking(false)} />}
    </div>
  );
}

function App() {
  /** Undefined until it is known. */
  const [user, setUser] = useState<User | null | undefined>(undefined);
  /** Whether the session ended without a logout of this page. */
  const [hasEnded, setEnded] = useState(false);
  const known = useRef<User | null>(null);
  const { demo } = useRoute();
  useEffect(() => {
    const end = client.on("session", (next) => {
      setEnded(next === null && known.current !== null && !hasLeft());
      known.current = next;
      setUser(next);
    });
    // Without a network the stored login still shows the stored board.
    const show = (restored: User | null): void => {
      known.current = restored;
      setUser(restored);
    };
    client.restore().then(show, () => show(client.user));
    return end;
  }, []);
  if (user === undefined) return null;
  return (
    <>
      {user === null ? <Door ended={hasEnded} demo={demo} /> : <Inside key={user.id} user={user} />}
      <Toasts />
    </>
  );
}

showTheme();
openOffline();
render(<App />, document.getElementById("app") as HTMLElement);
