/** A task in full: what can be changed changes at once, and shows when the server refuses it. */
import { useEffect, useRef, useState } from "preact/hooks";
import {
  type Comment,
  type Made,
  type Member,
  type Priority,
  type ProjectSnapshot,
  type ProjectStore,
  type Status,
  type Task,
  TRANSITIONS,
  unwrap,
  type User,
} from "../../client/src/index.ts";
import { client } from "../shared/client.ts";
import { field } from "../shared/fields.ts";
import { faultOf } from "../shared/hooks.ts";
import { Close, Trash } from "../shared/icons.tsx";
import { ago, capital, fullName, PRIORITIES, STATUSES, titleOf } from "../shared/words.ts";
import { Dialog } from "./dialog.tsx";
import { Face } from "./face.tsx";
import { Refused } from "./refused.tsx";
import type { Rights } from "./rights.ts";
import { toast } from "./toasts.tsx";

/** What the reader is writing stays as it is while events come; what nobody is writing follows the server. */
function Draft({
  label,
  value,
  isTitle = false,
  disabled,
  onCommit,
}: {
  label: string;
  value: string;
  isTitle?: boolean;
  disabled: boolean;
  onCommit: (value: string) => void;
}) {
  const [draft, setDraft] = useState<string | null>(null);
  function commit(): void {
    const text = draft?.trim() ?? value;
    setDraft(null);
    if (text !== value && (text !== "" || !isTitle)) onCommit(text);
  }
  return (
    <textarea
      class={isTitle ? "title-field" : undefined}
      aria-label={label}
      rows={isTitle ? 1 : 4}
      maxLength={isTitle ? 200 : 10_000}
      placeholder={isTitle ? undefined : "Add a description"}
      value={draft ?? value}
      readOnly={disabled}
      onInput={(event) => setDraft(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (isTitle || event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          event.currentTarget.blur();
        }
        if (event.key === "Escape" && draft !== null) {
          // The first Escape gives the text up, the second one closes the task.
          event.preventDefault();
          event.stopPropagation();
          setDraft(null);
        }
      }}
    />
  );
}

/** A day of the reader's own calendar, as `<input type="date">` has it. */
const toDay = (iso: string | null): string => {
  if (iso === null) return "";
  const date = new Date(iso);
  const two = (number: number): string => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
};
/** The end of that day. */
const fromDay = (day: string): string | null =>
  day === "" ? null : new Date(`${day}T23:59:00`).toISOString();

function Facts({ task, store, snapshot, rights, user }: Omit<Props, "id" | "onClose"> & { task: Task }) {
  const { write, manage } = rights;
  const canAssign = manage || (write && task.assigned_to === user.id);
  const people = [...snapshot.members.values()].filter(
    ({ user_id }) => manage || user_id === task.assigned_to,
  );
  return (
    <div class="facts">
      <div>
        <label for="task-status">Status</label>
        <select
          id="task-status"
          value={task.status}
          disabled={!write}
          onChange={(event) => quietly(store.transition(task.id, event.currentTarget.value as Status))}
        >
          {STATUSES.filter(
            ({ status }) => status === task.status || TRANSITIONS[task.status].includes(status),
          ).map(({ status, name }) => (
            <option key={status} value={status}>
              {name}
            </option>
          ))}
        </select>
      </div>
      <div>
        <label for="task-assignee">Assigned to</label>
        <select
          id="task-assignee"
          value={task.assigned_to ?? ""}
          disabled={!canAssign}
          onChange={(event) => quietly(store.assign(task.id, event.currentTarget.value || null))}
        >
          <option value="">Nobody</option>
          {people.map((member) => (
            <option key={member.user_id} value={member.user_id}>
              {fullName(member)}
            </option>
          ))}
        </select>
      </div>
      <div>
        <label for="task-priority">Priority</label>
        <select
          id="task-priority"
          value={task.priority}
          disabled={!write}
          onChange={(event) =>
            quietly(store.update(task.id, { priority: event.currentTarget.value as Priority }))
          }
        >
          {PRIORITIES.map((priority) => (
            <option key={priority} value={priority}>
              {capital(priority)}
            </option>
          ))}
        </select>
      </div>
      <div>
        <label for="task-due">Due</label>
        <input
          id="task-due"
          type="date"
          value={toDay(task.due_date)}
          disabled={!write}
          onChange={(event) =>
            quietly(store.update(task.id, { due_date: fromDay(event.currentTarget.value) }))
          }
        />
      </div>
    </div>
  );
}

/** A refusal stands in the snapshot, where `Refused` shows it. */
const quietly = ({ done }: Made): void => void done.catch(() => {});

function Comments({ task, store, snapshot, rights, user }: Omit<Props, "id" | "onClose"> & { task: Task }) {
  const comments = snapshot.comments.get(task.id) ?? [];
  const canDelete = ({ author_id }: Comment): boolean =>
    rights.manage || (rights.write && author_id === user.id);
  return (
    <section class="sheet-part" aria-labelledby="comments">
      <h3 id="comments">
        Comments <span class="hint">{comments.length}</span>
      </h3>
      <ol class="comments">
        {comments.map((comment) => {
          const author: Pick<Member, "user_id" | "username"> = snapshot.members.get(comment.author_id) ?? {
            user_id: comment.author_id,
          };
          return (
            <li key={comment.id}>
              <Face person={author} />
              <span class="who">
                {fullName(author)}
                <time dateTime={comment.created_at}>{ago(comment.created_at)}</time>
                {canDelete(comment) && (
                  <button
                    type="button"
                    class="link erase"
                    onClick={() => quietly(store.deleteComment(task.id, comment.id))}
                  >
                    Delete
                  </button>
                )}
              </span>
              <p class="body">{comment.body ?? "[redacted]"}</p>
            </li>
          );
        })}
      </ol>
      {rights.write && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const form = event.currentTarget;
            const body = field(form, "body").trim();
            if (body === "") return;
            quietly(store.comment(task.id, body));
            form.reset();
          }}
        >
          <textarea
            name="body"
            aria-label="New comment"
            placeholder="Write a comment"
            rows={2}
            maxLength={10_000}
            onKeyDown={(event) => {
              if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
              event.preventDefault();
              event.currentTarget.form?.requestSubmit();
            }}
          />
          <div class="row">
            <span class="hint keys">Ctrl + Enter sends it</span>
            <span class="space" />
            <button class="button">Comment</button>
          </div>
        </form>
      )}
    </section>
  );
}

interface Props {
  id: string;
  store: ProjectStore;
  snapshot: ProjectSnapshot;
  user: User;
  rights: Rights;
  onClose: () => void;
}

export function TaskDialog({ id, task: shown, onClose, ...rest }: Props & { task: Task | undefined }) {
  const { store, snapshot, rights } = rest;
  // A task that somebody deletes meanwhile stays to be read until the reader closes it.
  const last = useRef(shown);
  useEffect(() => {
    if (shown) last.current = shown;
  }, [shown]);
  const task = shown ?? last.current;
  if (task === undefined)
    return (
      <Dialog label="Task" small onClose={onClose}>
        <div class="sheet">
          <p>There is no such task on this board. Perhaps somebody has deleted it.</p>
          <div class="row">
            <button type="button" class="button" onClick={onClose}>
              Back to the board
            </button>
          </div>
        </div>
      </Dialog>
    );
  const isGone = shown === undefined;
  const disabled = !rights.write || isGone;
  const creator = snapshot.members.get(task.created_by);

  function remove(doomed: Task): void {
    onClose();
    const restore = (taskId: string): void => {
      unwrap(client.rest.POST("/tasks/{id}/restore", { params: { path: { id: taskId } } })).catch(
        (error: unknown) => toast(faultOf(error)),
      );
    };
    store.delete(doomed.id).done.then(
      (taskId) => toast(`Deleted “${titleOf(doomed)}”`, { name: "Undo", run: () => restore(taskId) }),
      () => {},
    );
  }

  return (
    <Dialog label={titleOf(task)} onClose={onClose}>
      {/* The focus stands here at first, and not in the title: a phone would show its keyboard. */}
      <div class="sheet" tabIndex={-1} autofocus>
        <header>
          <Draft
            label="Title"
            isTitle
            value={titleOf(task)}
            disabled={disabled}
            onCommit={(title) => quietly(store.update(task.id, { title }))}
          />
          {rights.manage && !isGone && (
            <button
              type="button"
              class="plain icon-only"
              aria-label="Delete the task"
              onClick={() => remove(task)}
            >
              <Trash />
            </button>
          )}
          <button type="button" class="plain icon-only" aria-label="Close the task" onClick={onClose}>
            <Close />
          </button>
        </header>
        {isGone && <p class="fault">Somebody has deleted this task.</p>}
        <Refused
          store={store}
          changes={snapshot.changes.filter((change) => store.realId(change.task) === store.realId(id))}
          tasks={snapshot.tasks}
        />
        <Facts {...rest} task={task} rights={isGone ? { write: false, manage: false } : rights} />
        <Draft
          label="Description"
          value={task.description ?? ""}
          disabled={disabled}
          onCommit={(text) => quietly(store.update(task.id, { description: text === "" ? null : text }))}
        />
        <Comments {...rest} task={task} rights={isGone ? { write: false, manage: false } : rights} />
        <p class="hint">
          Created {creator ? `by ${fullName(creator)} ` : ""}
          {ago(task.created_at)}, changed {ago(task.updated_at)} · version {task.version}
        </p>
      </div>
    </Dialog>
  );
}
