/** What bench/growth.ts reads at each size: the functions that the services call, each with one caller. */
import type { Actor } from "../core/kit.ts";
import type { PageOf } from "../core/pagination.ts";
import type { Queryable } from "../mixins/database.ts";
import { forgetEvents, forgetOldEvents, oldestToForget } from "../mixins/event-log.erasure.ts";
import { projectStream } from "../mixins/event-log.ts";
import { readHeads, readLog, readLogPage, readLogs } from "../mixins/event-log.queries.ts";
import { projectStreams } from "../services/notifier/notifier.queries.ts";
import { listProjects } from "../services/projects/projects.list.ts";
import { listTasks, type TaskFilter } from "../services/tasks/tasks.list.ts";
import { countByStatus, findDetail } from "../services/tasks/tasks.queries.ts";
import { Totals } from "../services/tasks/totals.ts";
import { FEW, type Grown, MANY, type People } from "./growth-data.ts";

/** A name, and what is measured under it. */
export type Read = [name: string, read: (db: Queryable) => Promise<unknown>];

const DAY_MS = 86_400_000;
const daysAway = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString();
const BY_CURSOR: PageOf = { limit: 20, cursor: "" };
const COUNTED: PageOf = { limit: 20, offset: 0 };
const FAR: PageOf = { limit: 20, offset: 10_000 };

/**
 * The reads of one size.
 * @param middle a task of the large project from the middle of its list
 */
export function readsOf(
  { me, wide, admin }: People,
  { projects, category, creator }: Grown,
  middle: { id: string; created_at: string },
): Read[] {
  const actor = (id: string, role: Actor["role"] = "user"): Actor => ({ id, role, session: id });
  const [user, inMany, boss] = [actor(me), actor(wide), actor(admin, "admin")];
  const [large = ""] = projects;
  const streams = projects.map(projectStream);
  const spans = streams.map((stream) => ({ stream, after: { seq: 10, id: null }, upTo: 1_000_000 }));
  const tasks =
    (filter: TaskFilter, page: PageOf, who = user) =>
    (db: Queryable) =>
      listTasks(db, who, filter, page);
  const inLarge = { project: large };
  const sorted = (sort: string): PageOf => ({ ...BY_CURSOR, sort });
  const deep = { limit: 20, cursor: JSON.stringify([middle.created_at, middle.id]) };
  return [
    ["a task", (db) => findDetail(db, user, middle.id)],
    ["a project's tasks", tasks(inLarge, BY_CURSOR)],
    ["… from the middle, by cursor", tasks(inLarge, deep)],
    ["… with total", tasks(inLarge, COUNTED)],
    ["… from offset 10,000", tasks(inLarge, FAR)],
    ["… by -priority", tasks(inLarge, sorted("-priority"))],
    ["… by title", tasks(inLarge, sorted("title"))],
    ["… of a status, with total", tasks({ ...inLarge, status: ["pending"] }, COUNTED)],
    [`all of ${FEW} projects`, tasks({}, BY_CURSOR)],
    ["… from the middle, by cursor", tasks({}, deep)],
    ["… with total", tasks({}, COUNTED)],
    ["… from offset 10,000", tasks({}, FAR)],
    ["… by -priority", tasks({}, sorted("-priority"))],
    ["… due in a week, with total", tasks({ due_date_from: daysAway(0), due_date_to: daysAway(7) }, COUNTED)],
    ["… the same by due date", tasks({ due_date_from: daysAway(0) }, sorted("due_date"))],
    ["… overdue, with total", tasks({ overdue: true }, COUNTED)],
    ["… changed lately", tasks({ updated_since: daysAway(-400) }, sorted("updated_at"))],
    ["… created by somebody, with total", tasks({ created_by: creator }, COUNTED)],
    ["… created by me, with total", tasks({ created_by: me }, COUNTED)],
    ["… assigned to me, with total", tasks({ assigned_to: "me" }, COUNTED)],
    ["… of a category, with total", tasks({ category_id: category }, COUNTED)],
    ["… search for a rare word", tasks({ q: "needle" }, COUNTED)],
    ["… for a word of a thousandth", tasks({ q: "word7" }, COUNTED)],
    ["… for a word of a third", tasks({ q: "deploy" }, COUNTED)],
    ["… the same, newest first", tasks({ q: "deploy" }, sorted("-created_at"))],
    ["… in a project for a rare word", tasks({ ...inLarge, q: "needle" }, COUNTED)],
    [`all of ${MANY} projects`, tasks({}, BY_CURSOR, inMany)],
    ["… with total", tasks({}, COUNTED, inMany)],
    ["… search for a word of a third", tasks({ q: "deploy" }, COUNTED, inMany)],
    ["all, for an admin", tasks({}, BY_CURSOR, boss)],
    ["… with total", tasks({}, COUNTED, boss)],
    ["… changed since", tasks({ updated_since: daysAway(0) }, BY_CURSOR, boss)],
    ["… search for a word of a third", tasks({ q: "deploy" }, COUNTED, boss)],
    ["a project's counts", (db) => countByStatus(db, large, me, new Totals())],
    ["somebody's projects", (db) => listProjects(db, user, {}, COUNTED)],
    ["heads of 20 streams", (db) => readHeads(db, streams)],
    ["streams of a socket", (db) => projectStreams(db, user, 5000)],
    [
      "a replay's page of a stream",
      (db) =>
        readLog(db, { stream: streams[0] as string, after: { seq: 90, id: null }, upTo: 1000, limit: 100 }),
    ],
    ["… of 20 streams", (db) => readLogs(db, spans, 50)],
    [
      "a page of the feed",
      (db) =>
        readLogPage(db, {
          stream: streams[0] as string,
          after: { seq: 90, id: null },
          upTo: 1_000_000,
          limit: 100,
          caller: me,
        }),
    ],
    ["forget: nothing is old", (db) => forgetOldEvents(db, daysAway(-10_000))],
    ["… 5,000 events of a stream", (db) => forgetEvents(db, streams[0] as string)],
    ["… the age of the oldest", oldestToForget],
  ];
}
