/** A walk by cursor over a list that others write to meanwhile: what stands still is met once, whatever moves around it. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import type { Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { openDatabase } from "../support/database.ts";

const STANDING = 1000;
/** Tasks that move; enough that some lie on every page. */
const MOVING = 200;
const WRITERS = 3;
const LIMIT = 50;

const PRIORITIES = ["low", "medium", "high", "urgent"];
const WORDS = ["walk", "walk walk", "walk on by", "a long walk home", "the walk of the walkers"];

let node: TestNode;
let db: pg.Client;
let ada: Person;
let ben: Person;
let projects: string[];
let standing: Set<string>;
const moving: string[] = [];

/** The same numbers each time (mulberry32). */
let state = 20_261_121;
function random(below: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % below;
}
const any = <Value>(values: readonly Value[]): Value => values[random(values.length)] as Value;
const dueDate = (): string | null => (random(3) === 0 ? null : `2030-01-0${1 + random(5)}T00:00:00.000Z`);

/** Tasks of three projects and personal ones, created by her and assigned to her, with few values to sort by. */
async function insert(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, newId);
  await db.query(
    `INSERT INTO tasks.tasks (id, title, status, priority, project_id, created_by, assigned_to, due_date, created_at, updated_at)
     SELECT id, ($2::text[])[1 + n % 5], CASE WHEN n % 3 = 0 THEN 'pending' ELSE 'in_progress' END,
            ($3::text[])[1 + n % 4], CASE WHEN n % 8 < 6 THEN ($4::uuid[])[1 + n % 3] END,
            CASE WHEN n % 8 = 6 THEN $5::uuid ELSE $6::uuid END, CASE WHEN n % 8 = 7 THEN $5::uuid END,
            CASE WHEN n % 5 > 0 THEN timestamptz '2030-01-01Z' + n % 5 * interval '1 day' END,
            now() - n % 50 * interval '1 day', now() - n % 20 * interval '1 hour'
     FROM unnest($1::uuid[]) WITH ORDINALITY AS given (id, n)`,
    [ids, WORDS, PRIORITIES, projects, ada.id, ben.id],
  );
  return ids;
}

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  [ada, ben] = (await Promise.all(["ada", "ben"].map((name) => node.api.person(name)))) as [Person, Person];
  const made = await Promise.all(
    ["One", "Two", "Three"].map((name) => ben.api.must("POST", "/projects", { name })),
  );
  projects = made.map(({ id }: Wire): string => id);
  for (const id of projects)
    await ben.api.must("POST", `/projects/${id}/members`, { user_id: ada.id, role: "viewer" });
  standing = new Set(await insert(STANDING));
  moving.push(...(await insert(MOVING)));
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

/** One write to the list: another task, or one that moves or goes. Of two at the same task one may come too late. */
async function write(): Promise<void> {
  const kind = random(4);
  const at = random(moving.length);
  const fields = { title: any(WORDS), priority: any(PRIORITIES), due_date: dueDate() };
  if (kind === 0) {
    const task = await ben.api.must("POST", "/tasks", { ...fields, project_id: any(projects) });
    moving.push(task.id);
    return;
  }
  const path = `/tasks/${moving[at]}`;
  const [change, gone] =
    kind === 1 && moving.length > MOVING / 2
      ? [ben.api.delete(path), moving.splice(at, 1)]
      : [ben.api.patch(path, { ...fields, status: any(["pending", "in_progress"]) }), []];
  const { status } = await change;
  // Ada's own are not Ben's to move.
  expect([200, 204, 404]).toContain(status);
  if (status === 404) moving.push(...gone);
}

const sorts = ["created_at", "updated_at", "due_date", "priority", "status", "title", "rank"];

test.each(sorts.flatMap((sort) => [sort, `-${sort}`]))(
  "by %s it meets each task that stands once, and nothing twice",
  async (sort) => {
    let writes = 0;
    let walking = true;
    const writers = Array.from({ length: WRITERS }, async () => {
      for (; walking; writes++) await write();
    });
    const met: Wire[] = [];
    const query = `/tasks?limit=${LIMIT}&sort=${sort}${sort.endsWith("rank") ? "&q=walk" : ""}`;
    try {
      for (let cursor: string | null = ""; cursor !== null;) {
        const before = writes;
        const page = await ada.api.must("GET", `${query}&cursor=${cursor}`);
        met.push(...page.items);
        cursor = page.next_cursor;
        // Something happens between any two pages.
        expect(await until(() => writes > before, 5000)).toBe(true);
      }
    } finally {
      walking = false;
      await Promise.all(writers);
    }
    const ids = met.map(({ id }): string => id);
    const found = ids.filter((id) => standing.has(id));
    expect(found.length).toBe(STANDING);
    expect(new Set(found)).toEqual(standing);
    // What was edited may have moved to where the walk came later: as another version of itself.
    const versions = met.map(({ id, version }): string => `${id} ${version}`);
    expect(new Set(versions).size).toBe(met.length);
    expect(writes).toBeGreaterThanOrEqual(STANDING / LIMIT);
  },
);
