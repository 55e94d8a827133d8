/** What happened in a project: the end of its log, and each event that comes. */
import { useEffect, useState } from "preact/hooks";
import { type ProjectSnapshot, type TaskwireEvent, unwrap } from "../../client/src/index.ts";
import { client } from "../shared/client.ts";
import { faultOf } from "../shared/hooks.ts";
import { Close } from "../shared/icons.tsx";
import { ago, fullName, sentence, titleOf } from "../shared/words.ts";

const FIRST = 60;
/** The page keeps so many; the log keeps all. */
const KEPT = 200;
const REDRAW_MS = 30_000;

const read = (project: string, after: number, limit: number) =>
  unwrap(
    client.rest.GET("/projects/{project}/events", {
      params: { path: { project }, query: { after: String(after), limit } },
    }),
  );

/** The last events, oldest first. */
async function readEnd(project: string): Promise<TaskwireEvent[]> {
  const { head } = await read(project, 0, 1);
  const { items } = await read(project, Math.max(0, head - FIRST), FIRST);
  return items;
}

/** Each number once, in order: an event may come by socket while the end of the log is being read. */
function merge(known: readonly TaskwireEvent[], more: readonly TaskwireEvent[]): TaskwireEvent[] {
  const bySeq = new Map([...known, ...more].map((event) => [event.seq, event]));
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq).slice(-KEPT);
}

interface Props {
  id: string;
  snapshot: ProjectSnapshot;
  onOpen: (task: string) => void;
  onClose: () => void;
}

export function Activity({ id, snapshot, onOpen, onClose }: Props) {
  const [events, setEvents] = useState<readonly TaskwireEvent[]>([]);
  const [fault, setFault] = useState<string | null>(null);
  const [, redraw] = useState<object>();
  useEffect(() => {
    const stream = `project:${id}`;
    const load = (): void =>
      void readEnd(id).then(
        (items) => setEvents((known) => merge(known, items)),
        (error: unknown) => setFault(faultOf(error)),
      );
    load();
    const ends = [
      client.on("event", (event) => setEvents((known) => merge(known, [event])), { stream }),
      client.on("reset", (reset) => {
        if (reset.stream !== stream) return;
        // Another history: what is shown may never have happened.
        setEvents([]);
        load();
      }),
    ];
    const timer = setInterval(() => redraw({}), REDRAW_MS);
    return () => {
      clearInterval(timer);
      for (const end of ends) end();
    };
  }, [id]);

  const nameOf = (user: string): string => fullName(snapshot.members.get(user) ?? { username: "somebody" });
  const titleOfTask = (task: string): string => {
    const found = snapshot.tasks.get(task);
    return found ? titleOf(found) : "a task";
  };
  return (
    <aside class="panel" aria-label="Activity">
      <header>
        <h2>Activity</h2>
        <button type="button" class="plain icon-only" aria-label="Close activity" onClick={onClose}>
          <Close />
        </button>
      </header>
      <div class="scroll" tabIndex={0}>
        {fault !== null && <p class="fault">{fault}</p>}
        <ol class="feed">
          {events.toReversed().map((event) => {
            const { verb, task, rest } = sentence(event, nameOf, titleOfTask);
            return (
              <li key={event.seq}>
                <span class="hint">{event.seq}</span>
                <span class="what">
                  <strong>{event.actor_id === null ? "Taskwire" : nameOf(event.actor_id)}</strong> {verb}{" "}
                  {task !== null &&
                    (snapshot.tasks.has(task.id) ? (
                      <button type="button" onClick={() => onOpen(task.id)}>
                        {task.title}
                      </button>
                    ) : (
                      task.title
                    ))}{" "}
                  {rest}
                </span>
                <time dateTime={event.time}>{ago(event.time)}</time>
              </li>
            );
          })}
        </ol>
      </div>
    </aside>
  );
}
