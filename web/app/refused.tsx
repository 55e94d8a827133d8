/** Changes that the server refused: what was wanted, why not, and what can be done about it. */
import type { Change, ProjectStore, Task } from "../../client/src/index.ts";
import { statusName, titleOf } from "../shared/words.ts";

const VERBS: Record<Change["kind"], string> = {
  create: "create",
  update: "change",
  transition: "move",
  assign: "assign",
  move: "move",
  delete: "delete",
  comment: "comment on",
  "edit-comment": "change a comment on",
  "delete-comment": "delete a comment on",
};

/** What the server has, where somebody else was faster. */
function theirs({ theirs }: Change): string {
  if (theirs === null) return "It is gone.";
  if (!("status" in theirs)) return "Somebody changed the comment meanwhile.";
  return `Now it is “${titleOf(theirs)}”, in ${statusName(theirs.status)}.`;
}

interface Props {
  store: ProjectStore;
  changes: readonly Change[];
  tasks: ReadonlyMap<string, Task>;
}

export function Refused({ store, changes, tasks }: Props) {
  const refused = changes.filter(({ state }) => state === "conflict" || state === "failed");
  if (refused.length === 0) return null;
  return (
    <div role="alert">
      <ul class="refused">
        {refused.map((change) => {
          const { id, kind, task, seen, body, state, problem } = change;
          const title =
            (tasks.get(task) ?? seen)?.title ?? (typeof body.title === "string" ? body.title : "a task");
          return (
            <li class="clash" key={id}>
              <p>
                Could not {VERBS[kind]} <strong>{title}</strong>.{" "}
                {state === "conflict" ? `Somebody was faster. ${theirs(change)}` : null}{" "}
                {state === "failed" ? (problem?.detail ?? problem?.title) : null}
              </p>
              <div class="row">
                <button type="button" class="button quiet" onClick={() => store.retry(id)}>
                  Try mine again
                </button>
                <button type="button" class="button quiet" onClick={() => store.discard(id)}>
                  {state === "conflict" ? "Keep theirs" : "Forget it"}
                </button>
              </div>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
