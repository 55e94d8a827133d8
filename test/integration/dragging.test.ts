/**
 * Twenty clients drag tasks into one gap, while a job shortens positions under their hands. `DRAG_SECONDS=60 npm run jest
 * -- integration/dragging` drags for a minute, and says how it went.
 */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import { verify } from "../../scripts/verify/verify.ts";
import { LONG_DIGITS } from "../../services/tasks/positions.ts";
import { type Move, tasks as tasksService } from "../../services/tasks/tasks.contract.ts";
import type { Answer, Api, Person, Wire } from "../support/api.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase } from "../support/database.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

const SECONDS = Number(process.env.DRAG_SECONDS ?? 1.5);
const CLIENTS = 20;
const TASKS = 40;

let node: TestNode;
/** One more on the same database: two nodes have nothing in common but Postgres. */
let other: TestNode;
let db: pg.Client;
let ada: Person;
beforeAll(async () => {
  node = await startTestNode();
  other = await startTestNode({ DATABASE_URL: node.config.DATABASE_URL });
  db = await openDatabase(node);
  ada = await node.api.person("ada");
});
afterAll(async () => {
  await db?.end();
  await Promise.all([node?.stop(), other?.stop()]);
});

interface Drag {
  id: string;
  to: Move;
  answer: Answer;
  ms: number;
}

/** Drags, most of them into the gap between two tasks that stay where they are; one task leaves the column and comes back. */
function aim(
  [first, last, rover, ...others]: string[],
  client: number,
  nth: number,
): { id: string; to: Move } {
  const id = others[(client * 7 + nth * 13) % others.length] as string;
  const turn = (client + nth) % 10;
  if (turn < 4) return { id, to: { status: "pending", after: first as string } };
  if (turn < 7) return { id, to: { status: "pending", before: last as string } };
  if (turn === 7) return { id, to: { status: "pending", before: rover as string } };
  return { id: rover as string, to: { status: nth % 2 === 0 ? "in_progress" : "pending" } };
}

test("20 clients that drag into one gap all succeed or are told why, and all see one order", async () => {
  const { id: project } = await ada.api.must("POST", "/projects", { name: "Board" });
  const ids: string[] = [];
  for (const n of upTo(TASKS))
    ids.push((await ada.api.must("POST", `/projects/${project}/tasks`, { title: `Task ${n}` })).id);
  await db.query("UPDATE tasks.tasks SET position = position || repeat('z', $2) WHERE project_id = $1", [
    project,
    LONG_DIGITS,
  ]);
  // Never from the cache, which the other node does not outdate.
  const readBoard = async (): Promise<Wire[]> =>
    (await ada.api.must("GET", `/projects/${project}/tasks?sort=position&limit=100&overdue=false`)).items;
  const before = await readBoard();
  expect(before.map(({ id }) => id)).toEqual(ids);

  const drags = new Map<string, Drag>();
  const apis = [ada.api, other.api.as(ada.token)] as const;
  const until = performance.now() + SECONDS * 1000;
  await Promise.all([
    ...upTo(CLIENTS).map(async (client) => {
      for (let nth = 0; performance.now() < until; nth++) {
        const { id, to } = aim(ids, client, nth);
        const [request, began] = [newId(), performance.now()];
        const answer = await (apis[client % 2] as Api).post(`/tasks/${id}/move`, to, {
          "X-Request-ID": request,
        });
        drags.set(request, { id, to, answer, ms: performance.now() - began });
      }
    }),
    (async () => {
      while (await tasksService.call(node.broker, "spread_positions", {}));
    })(),
  ]);

  // Every drag was carried out, or the task to go next to had left the column, or a slow machine let too many wait.
  const answers = [...drags.values()].map(({ answer }) => answer);
  const reasons = [
    "Task \\S+ is in_progress, and so is not in the column pending",
    "Too many writes wait for the same lock",
  ];
  for (const { status, body } of answers)
    if (status !== 200) expect(body.detail).toMatch(new RegExp(`^(${reasons.join("|")})$`));
  const counts = tally(answers);
  expect(counts[200]).toBeGreaterThan(answers.length / 2);

  // The log is the order: each event begins at what the one before it left, and puts the task where its drag wanted it.
  const { rows } = await db.query<{ type: string; request_id: string | null; data: Wire }>(
    "SELECT type, request_id, data FROM events.log WHERE stream = $1 AND seq > $2 ORDER BY seq",
    [`project:${project}`, 1 + TASKS],
  );
  const tasks = new Map(before.map((task) => [task.id as string, task]));
  const order = (): string[] =>
    [...tasks.values()].sort((a, b) => (a.position < b.position ? -1 : 1)).map(({ id }) => id as string);
  let [shown, moves, spread] = [order(), 0, 0];
  for (const { type, request_id, data } of rows) {
    const { task, changes } = data;
    for (const [field, { old }] of Object.entries<Wire>(changes))
      expect([field, tasks.get(task.id)?.[field]]).toEqual([field, old]);
    tasks.set(task.id, task);
    const now = order();
    expect([type, new Set([...tasks.values()].map(({ position }) => position)).size]).toEqual([
      "task_moved",
      TASKS,
    ]);
    if (request_id === null) {
      spread += 1;
      expect(now).toEqual(shown);
    } else {
      moves += 1;
      const { to } = drags.get(request_id) as Drag;
      const at = now.indexOf(task.id);
      if (to.before !== undefined) expect(now[at + 1]).toBe(to.before);
      else if (to.after !== undefined) expect(now[at - 1]).toBe(to.after);
      else {
        const column = now.filter((id) => tasks.get(id)?.status === task.status);
        expect(column.at(-1)).toBe(task.id);
      }
    }
    shown = now;
  }
  expect(spread).toBeGreaterThan(0);
  const after = await readBoard();
  expect(after.map(({ id }) => id)).toEqual(shown);
  for (const task of after) expect(task).toEqual(tasks.get(task.id));
  expect((await verify(node.config.DATABASE_URL)).findings).toEqual([]);

  if (process.env.DRAG_SECONDS !== undefined) {
    const times = [...drags.values()].map(({ ms }) => ms).sort((a, b) => a - b);
    const [p50, p95] = [0.5, 0.95].map((share) => Math.round(times[Math.floor(times.length * share)] ?? 0));
    const longest = Math.max(...after.map(({ position }) => (position as string).length));
    process.stdout.write(
      `${SECONDS} s: ${JSON.stringify(counts)}, ${moves} moves and ${spread} by the job in the log, p50 ${p50} ms, p95 ${p95} ms, in the end positions of ${longest} bytes at most\n`,
    );
  }
}, 600_000);
