/** Search over all projects of the reader, by the server's full text. `/` goes there. */
import { useEffect, useRef, useState } from "preact/hooks";
import { type Task, unwrap } from "../../client/src/index.ts";
import { client } from "../shared/client.ts";
import { faultOf } from "../shared/hooks.ts";
import { SearchIcon } from "../shared/icons.tsx";
import { statusName, titleOf } from "../shared/words.ts";
import type { Projects } from "./projects.tsx";
import { go, toTask } from "./route.ts";

const PAUSE_MS = 160;
const RESULTS = 12;

type Found = Pick<Task, "id" | "title" | "status"> & { project_id: string };

async function find(q: string, signal: AbortSignal): Promise<Found[]> {
  const { items } = await unwrap(
    client.rest.GET("/tasks", { params: { query: { q, limit: RESULTS, sort: ["-rank"] } }, signal }),
  );
  // The board shows projects; a personal task lies in none.
  return items.filter((task): task is typeof task & Found => task.project_id !== null);
}

export function Search({ projects }: { projects: Projects }) {
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<Found[] | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [chosen, setChosen] = useState(0);
  const [isOpen, setOpen] = useState(false);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const focus = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
      if (event.key !== "/" || isTyping || document.querySelector("dialog[open]") !== null) return;
      event.preventDefault();
      input.current?.focus();
    };
    window.addEventListener("keydown", focus);
    return () => window.removeEventListener("keydown", focus);
  }, []);

  useEffect(() => {
    const wanted = query.trim();
    setFault(null);
    if (wanted === "") {
      setFound(null);
      return;
    }
    const asking = new AbortController();
    const timer = setTimeout(() => {
      find(wanted, asking.signal).then(
        (tasks) => {
          setFound(tasks);
          setChosen(0);
        },
        (error: unknown) => !asking.signal.aborted && setFault(faultOf(error)),
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      asking.abort();
    };
  }, [query]);

  function open({ id, project_id }: Found): void {
    setOpen(false);
    setQuery("");
    input.current?.blur();
    go(toTask(project_id, id));
  }

  function onKeyDown(event: KeyboardEvent): void {
    const last = (found?.length ?? 0) - 1;
    if (event.key === "ArrowDown") setChosen(Math.min(chosen + 1, last));
    else if (event.key === "ArrowUp") setChosen(Math.max(chosen - 1, 0));
    else if (event.key === "Enter" && found?.[chosen]) open(found[chosen]);
    else if (event.key === "Escape") {
      setQuery("");
      input.current?.blur();
    } else return;
    event.preventDefault();
  }

  const isShown = isOpen && query.trim() !== "" && (found !== null || fault !== null);
  const nameOf = (project: string): string => projects.items?.find(({ id }) => id === project)?.name ?? "";
  return (
    <div class="search" role="search">
      <input
        ref={input}
        type="text"
        enterkeyhint="search"
        autocomplete="off"
        role="combobox"
        aria-label="Search tasks"
        aria-expanded={isShown}
        aria-controls="search-results"
        aria-activedescendant={isShown && found?.[chosen] ? `found-${found[chosen].id}` : undefined}
        placeholder="Search tasks"
        value={query}
        onInput={(event) => setQuery(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
      />
      <SearchIcon />
      <kbd aria-hidden="true">/</kbd>
      <div class="results" id="search-results" role="listbox" aria-label="Tasks found" hidden={!isShown}>
        {fault !== null && <p class="none">{fault}</p>}
        {found?.length === 0 && <p class="none">No task has these words.</p>}
        {found?.map((task, index) => (
          <div
            key={task.id}
            id={`found-${task.id}`}
            role="option"
            aria-selected={index === chosen}
            // Before the input loses the focus, which would close the list.
            onPointerDown={(event) => {
              event.preventDefault();
              open(task);
            }}
          >
            <span class="dot" data-status={task.status} />
            <span>{titleOf(task)}</span>
            <span class="where">
              {nameOf(task.project_id)} · {statusName(task.status)}
            </span>
          </div>
        ))}
      </div>
    </div>
  );
}
