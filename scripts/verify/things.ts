/** Each task and each comment equals what its last event says. A page of them is one statement, so one snapshot. */
import { THING } from "../../mixins/event-log.erasure.ts";
import { commentColumns, type CommentRow } from "../../services/tasks/comments.columns.ts";
import { commentView } from "../../services/tasks/comments.view.ts";
import { taskColumns, type TaskRow } from "../../services/tasks/tasks.columns.ts";
import { taskView } from "../../services/tasks/tasks.view.ts";
import type { Audit } from "./audit.ts";
import { differences, explained, mayBeForgotten } from "./compare.ts";

const AT_ONCE = 1000;
/** The lowest id. */
const NIL = "00000000-0000-0000-0000-000000000000";

/** What the log says of a thing, in the stream that has all its events. */
interface Told {
  stream: string;
  /** Its last event there. */
  seq: number | null;
  told: Record<string, unknown> | null;
  first_seq: number | null;
  first_time: string | null;
  project_is_deleted: boolean;
}

/** Plan: primary keys, log_thing_idx. OFFSET 0 keeps Postgres from walking back over the whole stream instead. */
const page = (kind: "task" | "comment", columns: string, from: string): string => `
  SELECT t.*, e.seq, e.told, f.seq AS first_seq, f.time AS first_time
  FROM (
    SELECT ${columns},
           CASE WHEN task.project_id IS NULL THEN 'user:' || task.created_by ELSE 'project:' || task.project_id END AS stream,
           p.deleted_at IS NOT NULL AS project_is_deleted
    FROM ${from} LEFT JOIN projects.projects p ON p.id = task.project_id
    WHERE t.id > $1 ORDER BY t.id LIMIT $2) t
  LEFT JOIN LATERAL (
    SELECT seq, data -> '${kind}' AS told
    FROM (SELECT stream, seq, data FROM events.log WHERE ${THING} = t.id::text OFFSET 0) l
    WHERE l.stream = t.stream ORDER BY seq DESC LIMIT 1) e ON true
  LEFT JOIN LATERAL (
    SELECT seq, time FROM events.log WHERE e.seq IS NULL AND stream = t.stream ORDER BY seq LIMIT 1) f ON true
  ORDER BY t.id`;

const TASKS = page("task", taskColumns.selected, "tasks.tasks t JOIN tasks.tasks task ON task.id = t.id");
const COMMENTS = page(
  "comment",
  commentColumns.selected,
  "tasks.comments t JOIN tasks.tasks task ON task.id = t.task_id",
);

/** A row of a task or a comment; comments have no `deleted_at`. */
interface Thing {
  id: string;
  created_at: string;
  updated_at: string;
  deleted_at?: string | null;
}

async function walk<Row extends Thing & Told>(
  audit: Audit,
  sql: string,
  check: (row: Row) => Promise<string | null>,
  kind: "task differs from its events" | "comment differs from its events",
): Promise<void> {
  for (let after: string | null = NIL; after !== null;) {
    const rows: Row[] = await audit.query<Row>(sql, [after, AT_ONCE]);
    for (const row of rows) {
      const fault = row.told === null ? checkUntold(row) : await check(row);
      if (fault !== null) audit.fault(kind, `${row.id} in ${row.stream}: ${fault}`);
    }
    audit.examined(rows.length);
    after = rows.length < AT_ONCE ? null : (rows.at(-1) as Row).id;
  }
}

/**
 * A thing without an event: the log may have forgotten them all. What nobody sees is cleared without one (CLEARED), so
 * `updated_at` may be later; the last event of a deleted task is its deletion.
 */
function checkUntold(row: Thing & Told): string | null {
  const first = row.first_seq === null ? null : { seq: row.first_seq, time: row.first_time as string };
  const told = row.deleted_at ?? (row.project_is_deleted ? row.created_at : row.updated_at);
  return mayBeForgotten(told, first) ? null : "the log has no event of it";
}

export const checkTasks = (audit: Audit): Promise<void> =>
  walk<TaskRow & Told>(
    audit,
    TASKS,
    async (row) => {
      const [told, task] = [row.told as object, taskView(row)];
      const fields = differences(told, task);
      if (fields.length === 0 || (await changedUnseen(audit, fields, row))) return null;
      return explained(fields, told, task);
    },
    "task differs from its events",
  );

export const checkComments = (audit: Audit): Promise<void> =>
  walk<CommentRow & Told>(
    audit,
    COMMENTS,
    (row) => {
      const [told, comment] = [row.told as object, commentView(row)];
      const fields = differences(told, comment);
      return Promise.resolve(fields.length === 0 ? null : explained(fields, told, comment));
    },
    "comment differs from its events",
  );

/** Fields that are cleared without an event in tasks that nobody sees (services/tasks/batches.commands.ts). */
const CLEARED = ["assigned_to", "category_id"] as const;

/** Whether a task differs because it was cleared or moved while nobody saw it: it was deleted, or its project was. */
async function changedUnseen(audit: Audit, fields: string[], row: TaskRow & Told): Promise<boolean> {
  const cleared = CLEARED.filter((field) => fields.includes(field) && row[field] === null);
  const wasMoved = fields.includes("position");
  const expected: string[] = ["version", "updated_at", ...cleared, ...(wasMoved ? ["position"] : [])];
  if (fields.every((field) => ["version", "updated_at"].includes(field))) return false;
  if (fields.some((field) => !expected.includes(field))) return false;
  // Each field is cleared by a write of its own; a place may have been moved by several.
  const writes = row.version - Number(row.told?.version) - cleared.length;
  if (wasMoved ? writes < 1 || row.deleted_at === null : writes !== 0) return false;
  if (row.deleted_at !== null || row.project_is_deleted) return true;
  const [restored] = await audit.query(
    "SELECT FROM events.log WHERE stream = $1 AND seq > $2 AND type = 'project_restored' LIMIT 1",
    [row.stream, row.seq],
  );
  return restored !== undefined;
}
