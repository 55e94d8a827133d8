import { memo } from "./memo.ts";
import type { Change, Member, Task } from "../../client/src/index.ts";
import { Bars, Bubble, Calendar } from "../shared/icons.tsx";
import { capital, day, fullName, lateness, PRIORITIES, titleOf } from "../shared/words.ts";
import { Face } from "./face.tsx";

interface Props {
  task: Task;
  assignee: Member | undefined;
  comments: number;
  /** The state of a change of this task that waits or was refused. */
  write: Change["state"] | undefined;
  onOpen: (task: string) => void;
}

const LATE_WORDS = { true: ", overdue", soon: ", soon", false: "" } as const;

/** A task on the board: a button that opens it, and that drag.ts moves. It is drawn again only when its task changes. */
export const Card = memo(({ task, assignee, comments, write, onOpen }: Props) => {
  const late = lateness(task);
  return (
    <button
      type="button"
      class="card"
      data-task={task.id}
      data-write={write === "sending" ? "pending" : write}
      aria-describedby="how-to-move"
      onClick={() => onOpen(task.id)}
    >
      <span class="title">{titleOf(task)}</span>
      <span class="meta">
        <span class="priority" data-level={task.priority} title={`${capital(task.priority)} priority`}>
          <Bars level={PRIORITIES.indexOf(task.priority)} />
          <span class="unseen">{task.priority} priority</span>
        </span>
        {task.due_date !== null && (
          <span class="due" data-late={late}>
            <Calendar />
            <span>
              <span class="unseen">due </span>
              {day(task.due_date)}
              <span class="unseen">{LATE_WORDS[late]}</span>
            </span>
          </span>
        )}
        {comments > 0 && (
          <span>
            <Bubble />
            {comments}
            <span class="unseen"> comments</span>
          </span>
        )}
        {(write === "conflict" || write === "failed") && <span class="note">not saved</span>}
        {assignee && <Face person={assignee} label={`assigned to ${fullName(assignee)}`} />}
      </span>
    </button>
  );
});
