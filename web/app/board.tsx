/** A project's board: five columns, and what is open beside them. */
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  type Change,
  type Member,
  type Place,
  type ProjectSnapshot,
  type Status,
  type Task,
  TRANSITIONS,
  type User,
} from "../../client/src/index.ts";
import { client } from "../shared/client.ts";
import { field } from "../shared/fields.ts";
import { useSnapshot } from "../shared/hooks.ts";
import { Plus } from "../shared/icons.tsx";
import { STATUSES } from "../shared/words.ts";
import { Activity } from "./activity.tsx";
import { Bar, type Side } from "./bar.tsx";
import { Card } from "./card.tsx";
import { enableDrag } from "./drag.ts";
import { memo } from "./memo.ts";
import { People } from "./people.tsx";
import type { Projects } from "./projects.tsx";
import { Refused } from "./refused.tsx";
import { rightsOf } from "./rights.ts";
import { go, toProject, toTask } from "./route.ts";
import { TaskDialog } from "./task-dialog.tsx";
import { announce } from "./toasts.tsx";

/** The states of a task's changes, from the least to the most that a reader has to know of. */
const GRAVITY: readonly Change["state"][] = ["pending", "sending", "failed", "conflict"];

function gravest(changes: readonly Change[]): ReadonlyMap<string, Change["state"]> {
  const states = new Map<string, Change["state"]>();
  for (const { task, state } of changes) {
    const known = states.get(task);
    if (known === undefined || GRAVITY.indexOf(state) > GRAVITY.indexOf(known)) states.set(task, state);
  }
  return states;
}

interface ColumnProps {
  status: Status;
  name: string;
  tasks: readonly Task[];
  members: ReadonlyMap<string, Member>;
  comments: ProjectSnapshot["comments"];
  writes: ReadonlyMap<string, Change["state"]>;
  onOpen: (task: string) => void;
  /** Absent where the reader may not add tasks, or the column takes none. */
  onAdd?: ((title: string, status: Status) => void) | undefined;
}

const Column = memo(({ status, name, tasks, members, comments, writes, onOpen, onAdd }: ColumnProps) => {
  const [isAdding, setAdding] = useState(false);
  return (
    <section class="column" data-status={status} data-name={name} aria-labelledby={`column-${status}`}>
      <header>
        <span class="dot" />
        <h2 id={`column-${status}`}>{name}</h2>
        <span class="count">
          {tasks.length}
          <span class="unseen"> tasks</span>
        </span>
        {onAdd && (
          <button
            type="button"
            class="plain icon-only"
            aria-label={`Add a task to ${name}`}
            onClick={() => setAdding(true)}
          >
            <Plus />
          </button>
        )}
      </header>
      {isAdding && onAdd && (
        <form
          class="adding"
          onSubmit={(event) => {
            event.preventDefault();
            const form = event.currentTarget;
            const title = field(form, "title").trim();
            if (title === "") return;
            onAdd(title, status);
            form.reset();
          }}
        >
          <input
            name="title"
            aria-label={`Title of the new task in ${name}`}
            placeholder="What is to be done? Enter adds it"
            maxLength={200}
            autofocus
            ref={(input) => input?.focus()}
            onKeyDown={(event) => event.key === "Escape" && setAdding(false)}
            onBlur={(event) => event.currentTarget.value === "" && setAdding(false)}
          />
        </form>
      )}
      <ol class="cards">
        {tasks.map((task) => (
          <li key={task.id}>
            <Card
              task={task}
              assignee={task.assigned_to === null ? undefined : members.get(task.assigned_to)}
              comments={comments.get(task.id)?.length ?? 0}
              write={writes.get(task.id)}
              onOpen={onOpen}
            />
          </li>
        ))}
      </ol>
    </section>
  );
});

/** On phones one column fills the window: its name in this row brings it there. */
function Tabs({ snapshot, board }: { snapshot: ProjectSnapshot; board: () => HTMLElement | null }) {
  const [current, setCurrent] = useState<string>("pending");
  useEffect(() => {
    const root = board();
    if (root === null) return;
    const watcher = new IntersectionObserver(
      (entries) => {
        for (const { isIntersecting, target } of entries)
          if (isIntersecting) setCurrent((target as HTMLElement).dataset.status ?? "pending");
      },
      { root, threshold: 0.6 },
    );
    for (const column of root.querySelectorAll(".column")) watcher.observe(column);
    return () => watcher.disconnect();
  }, [board]);
  return (
    <nav class="tabs" aria-label="Columns">
      {STATUSES.map(({ status, name }) => (
        <button
          key={status}
          type="button"
          aria-current={current === status}
          onClick={() =>
            board()
              ?.querySelector(`[data-status="${status}"]`)
              ?.scrollIntoView({ inline: "start", block: "nearest", behavior: "smooth" })
          }
        >
          {name} <span>{snapshot.columns[status].length}</span>
        </button>
      ))}
    </nav>
  );
}

/** A card that somebody else changed shines for a moment. */
function shine(board: HTMLElement | null, task: string): void {
  // The store draws it in the next frame.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      const card = board?.querySelector(`.card[data-task="${CSS.escape(task)}"]`);
      if (!card) return;
      card.classList.remove("fresh");
      card.addEventListener("animationend", () => card.classList.remove("fresh"), { once: true });
      card.classList.add("fresh");
    }),
  );
}

interface Props {
  id: string;
  task: string | null;
  user: User;
  projects: Projects;
  onNewProject: () => void;
}

export function Board({ id, task, user, projects, onNewProject }: Props) {
  const store = useMemo(() => client.project(id), [id]);
  const snapshot = useSnapshot(store);
  const [side, setSide] = useState<Side>(null);
  const element = useRef<HTMLDivElement>(null);
  const board = useCallback(() => element.current, []);
  const { write, manage } = rightsOf(snapshot, user);
  const writes = useMemo(() => gravest(snapshot.changes), [snapshot.changes]);
  const onOpen = useCallback((opened: string) => go(toTask(id, opened)), [id]);
  const onAdd = useCallback(
    (title: string, status: Status) => {
      store.create({ title, status }).done.catch(() => announce("The task could not be created."));
    },
    [store],
  );
  const isShown = snapshot.status !== "loading" && snapshot.status !== "closed";

  useEffect(() => {
    // What fails is in the snapshot, as its problem.
    store.open().catch(() => {});
    return () => store.close();
  }, [store]);

  useEffect(
    () =>
      client.on(
        "event",
        ({ type, actor_id, data }) => {
          if (actor_id === user.id || !type.startsWith("task_")) return;
          const { task: changed } = data as { task?: { id: string } };
          if (changed !== undefined) shine(element.current, changed.id);
        },
        { project: id },
      ),
    [id, user.id],
  );

  useEffect(() => {
    if (element.current === null || !write) return;
    return enableDrag(element.current, {
      allowed(dragged) {
        const found = store.getSnapshot().tasks.get(dragged);
        return new Set(found === undefined ? [] : [found.status, ...TRANSITIONS[found.status]]);
      },
      drop(dragged, { status, ...beside }: Place) {
        const from = store.getSnapshot().tasks.get(dragged)?.status;
        // Without a new status a move keeps to its column, and no transition can be lost.
        const place = status === undefined || status === from ? beside : { status, ...beside };
        // A refusal shows on the card and above the board.
        store.move(dragged, place).done.catch(() => announce("The task could not be moved."));
      },
      announce,
    });
  }, [store, write, isShown]);

  const shownTask = task === null ? undefined : snapshot.tasks.get(store.realId(task));
  return (
    <>
      <Bar
        user={user}
        projects={projects}
        current={id}
        snapshot={snapshot}
        side={side}
        onSide={setSide}
        onNewProject={onNewProject}
      />
      <main class="stage">
        <h1 class="unseen">{snapshot.project?.name ?? "Board"}</h1>
        <p class="unseen" id="how-to-move">
          Enter opens the task, space picks it up.
        </p>
        <Refused store={store} changes={snapshot.changes} tasks={snapshot.tasks} />
        {snapshot.status === "loading" && <p class="loading">Reading the board …</p>}
        {snapshot.status === "closed" && (
          <p class="loading">
            {snapshot.problem?.detail ?? snapshot.problem?.title ?? "The project is closed."}
          </p>
        )}
        {isShown && (
          <>
            <Tabs snapshot={snapshot} board={board} />
            <div class="board" ref={element}>
              {STATUSES.map(({ status, name }) => (
                <Column
                  key={status}
                  status={status}
                  name={name}
                  tasks={snapshot.columns[status]}
                  members={snapshot.members}
                  comments={snapshot.comments}
                  writes={writes}
                  onOpen={onOpen}
                  onAdd={write && (status === "pending" || status === "in_progress") ? onAdd : undefined}
                />
              ))}
            </div>
          </>
        )}
      </main>
      {side === "activity" && isShown && (
        <Activity key={id} id={id} snapshot={snapshot} onOpen={onOpen} onClose={() => setSide(null)} />
      )}
      {side === "people" && isShown && (
        <People id={id} user={user} snapshot={snapshot} manage={manage} onClose={() => setSide(null)} />
      )}
      {task !== null && isShown && (
        <TaskDialog
          key={task}
          id={task}
          task={shownTask}
          store={store}
          snapshot={snapshot}
          user={user}
          rights={{ write, manage }}
          onClose={() => go(toProject(id))}
        />
      )}
    </>
  );
}
