import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { newId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import { listStatement, type TaskFilter } from "../../services/tasks/tasks.queries.ts";
import { freshDatabase } from "../support/database.ts";

let client: pg.Client;
const [mine, others] = [newId(), newId()];
const projects = Array.from({ length: 20 }, newId);
const actor: Actor = { id: mine, role: "user", session: newId() };

/** 20,000 tasks: 10 projects that the caller is in, 10 that they are not, and personal ones of both. */
beforeAll(async () => {
  client = new pg.Client({ connectionString: await freshDatabase() });
  await client.connect();
  await client.query(
    `INSERT INTO users.users (id, email, username, password_hash, created_at, updated_at)
     SELECT id, id, id, '', now(), now() FROM unnest($1::uuid[]) AS id`,
    [[mine, others]],
  );
  await client.query(
    `INSERT INTO projects.projects (id, slug, name, owner_id, created_at, updated_at)
     SELECT id, id, 'x', $2, now(), now() FROM unnest($1::uuid[]) AS id`,
    [projects, others],
  );
  await client.query(
    `INSERT INTO projects.members SELECT id, $2, 'member', now() FROM unnest($1::uuid[]) AS id`,
    [projects.slice(0, 10), mine],
  );
  await client.query(
    `INSERT INTO tasks.tasks (id, title, status, priority, project_id, created_by, created_at, updated_at)
     SELECT gen_random_uuid(), 'x', CASE WHEN n % 7 = 0 THEN 'pending' ELSE 'completed' END, 'low',
            CASE WHEN n % 25 < 20 THEN ($1::uuid[])[1 + n % 25] END,
            CASE WHEN n % 500 = 24 THEN $2::uuid ELSE $3::uuid END, now(), now()
     FROM generate_series(1, 20000) AS n`,
    [projects, mine, others],
  );
  await client.query("ANALYZE");
}, 30_000);
afterAll(() => client?.end());

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  Plans?: Plan[];
}

const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

test.each<[string, TaskFilter, string[]]>([
  ["a project's list", { project: projects[0]! }, ["tasks_project_idx"]],
  [
    "a project's list by status",
    { project: projects[0]!, status: ["pending"] },
    ["tasks_project_status_idx"],
  ],
  [
    "everything that the caller may see",
    {},
    ["tasks_project_idx", "tasks_personal_creator_idx", "tasks_personal_assignee_idx"],
  ],
])("%s is one query that reads tasks by their index alone", async (_, filter, expected) => {
  const { text, values } = listStatement(actor, filter, { limit: 20, offset: 0 });
  const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
    `EXPLAIN (FORMAT JSON) ${text}`,
    values,
  );
  const plan = nodes(rows[0]!["QUERY PLAN"][0].Plan);
  expect(
    plan.filter((node) => node["Node Type"] === "Seq Scan" && node["Relation Name"] === "tasks"),
  ).toEqual([]);
  const used = plan.map((node) => node["Index Name"]);
  for (const index of expected) expect(used).toContain(index);
});
