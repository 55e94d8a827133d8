/** The bar at the top: where the reader is, search, the connection, people and the account. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { ProjectSnapshot, User } from "../../client/src/index.ts";
import { leave } from "../shared/client.ts";
import { Down, Logo, Person, Pulse } from "../shared/icons.tsx";
import { Presence } from "../shared/presence.tsx";
import { chosenTheme, setTheme, type Theme } from "../shared/theme.ts";
import { capital, fullName } from "../shared/words.ts";
import { Face } from "./face.tsx";
import type { Projects } from "./projects.tsx";
import { go, toHome, toProject } from "./route.ts";
import { Search } from "./search.tsx";

/** The panel that is open beside the board. */
export type Side = "activity" | "people" | null;

const SHOWN_FACES = 4;
const THEMES: readonly Theme[] = ["system", "light", "dark"];

function Account({ user, onNewProject }: { user: User; onNewProject: () => void }) {
  const [isOpen, setOpen] = useState(false);
  const [theme, choose] = useState(chosenTheme());
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen) return;
    const leave = (event: Event): void => {
      if (
        event instanceof KeyboardEvent
          ? event.key === "Escape"
          : !root.current?.contains(event.target as Node)
      )
        setOpen(false);
    };
    window.addEventListener("pointerdown", leave);
    window.addEventListener("keydown", leave);
    return () => {
      window.removeEventListener("pointerdown", leave);
      window.removeEventListener("keydown", leave);
    };
  }, [isOpen]);
  return (
    <div class="menu" ref={root}>
      <button
        type="button"
        class="plain icon-only"
        aria-label={`Account of ${fullName(user)}`}
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        <Face person={{ ...user, user_id: user.id }} label={fullName(user)} />
      </button>
      {isOpen && (
        <div class="list">
          <p>
            <strong>{fullName(user)}</strong>
            <br />
            <span class="hint">{user.email}</span>
          </p>
          <button
            type="button"
            class="plain"
            onClick={() => {
              setOpen(false);
              onNewProject();
            }}
          >
            New project
          </button>
          <button
            type="button"
            class="plain"
            onClick={() => {
              const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] as Theme;
              setTheme(next);
              choose(next);
            }}
          >
            Theme: {capital(theme)}
          </button>
          <a class="plain" href="/events">
            Live events
          </a>
          <a class="plain" href="/docs">
            REST API
          </a>
          <button type="button" class="plain" onClick={() => leave()}>
            Log out
          </button>
        </div>
      )}
    </div>
  );
}

interface Props {
  user: User;
  projects: Projects;
  /** The id of the project that is open, if any, and what is known of it. */
  current?: string;
  snapshot?: ProjectSnapshot;
  side?: Side;
  onSide?: (side: Side) => void;
  onNewProject: () => void;
}

export function Bar({ user, projects, current, snapshot, side = null, onSide, onNewProject }: Props) {
  const members = [...(snapshot?.members.values() ?? [])];
  const toggle = (which: Side) => () => onSide?.(side === which ? null : which);
  const items = projects.items ?? [];
  return (
    <header class="bar">
      <a class="brand" href={toHome} aria-label="Taskwire, all projects">
        <Logo />
        <span>Taskwire</span>
      </a>
      {current !== undefined && (
        <div class="switch">
          <select
            aria-label="Project"
            value={current}
            onChange={(event) => go(toProject(event.currentTarget.value))}
          >
            {!items.some(({ id }) => id === current) && (
              <option value={current}>{snapshot?.project?.name ?? "…"}</option>
            )}
            {items.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
          <Down />
        </div>
      )}
      <Presence {...(snapshot && { snapshot })} />
      <span class="space" />
      <Search projects={projects} />
      {onSide && (
        <>
          <button
            type="button"
            class="plain"
            aria-label="People"
            aria-expanded={side === "people"}
            onClick={toggle("people")}
          >
            <span class={members.length === 0 ? "" : "narrow"}>
              <Person />
            </span>
            {members.length > 0 && (
              <span class="faces" aria-hidden="true">
                {members.slice(0, SHOWN_FACES).map((member) => (
                  <Face key={member.user_id} person={member} label={null} />
                ))}
                {members.length > SHOWN_FACES && (
                  <span class="face more" data-letters={`+${members.length - SHOWN_FACES}`} />
                )}
              </span>
            )}
          </button>
          <button
            type="button"
            class="plain icon-only"
            aria-label="Activity"
            aria-expanded={side === "activity"}
            onClick={toggle("activity")}
          >
            <Pulse />
          </button>
        </>
      )}
      <Account user={user} onNewProject={onNewProject} />
    </header>
  );
}
