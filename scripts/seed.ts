/**
 * `npm run seed -- [http://127.0.0.1:3000] [number of tasks]`: fills a running Taskwire with a demo, through its API: users
 * of each project role, projects whose boards are in use, 500 tasks. Without a URL it uses HOST and PORT. Each run makes
 * the same demo, and a second run makes only the missing parts.
 */
import { setTimeout as delay } from "node:timers/promises";
import pLimit from "p-limit";
import { DEMO } from "../core/demo.ts";
import { explain } from "../core/explain.ts";
import { taskwireUrl } from "../core/origin.ts";

const PASSWORD = DEMO.password;
const REQUESTS_AT_ONCE = 8;

interface Answer {
  status: number;
  body: unknown;
}

interface Person {
  id: string;
  role: string;
  token: string;
}

interface Task {
  id: string;
  title: string;
  version: number;
}

let url = "";
let waiting = false;

/** @throws Error for an error status outside `expected` */
async function request(
  method: string,
  path: string,
  {
    body,
    token,
    key,
    expected = [],
  }: { body?: object; token?: string; key?: string; expected?: number[] } = {},
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      "Content-Type": "application/json",
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...(key !== undefined && { "Idempotency-Key": key }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (response.status === 429) {
    const seconds = Number(response.headers.get("retry-after") ?? 1);
    if (!waiting) console.log(`\nThe rate limit is reached: waiting ${seconds} s`);
    waiting = true;
    await delay(seconds * 1000);
    waiting = false;
    return request(method, path, {
      ...(body && { body }),
      ...(token && { token }),
      ...(key && { key }),
      expected,
    });
  }
  const text = await response.text();
  if (!response.ok && !expected.includes(response.status))
    throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return { status: response.status, body: text === "" ? null : JSON.parse(text) };
}

const PEOPLE = [
  { username: DEMO.login, first_name: "Ada", last_name: "Lovelace", role: "owner" },
  { username: "demo-manager", first_name: "Grace", last_name: "Hopper", role: "manager" },
  { username: "demo-member", first_name: "Alan", last_name: "Turing", role: "member" },
  { username: "demo-member-2", first_name: "Radia", last_name: "Perlman", role: "member" },
  { username: "demo-viewer", first_name: "Donald", last_name: "Knuth", role: "viewer" },
] as const;

const PROJECTS = ["Website relaunch", "Mobile app", "Billing", "Customer support", "Office move"];
const VERBS = [
  "Draft",
  "Review",
  "Fix",
  "Test",
  "Ship",
  "Document",
  "Measure",
  "Plan",
  "Translate",
  "Clean up",
];
const THINGS = [
  "the sign-up page",
  "invoice e-mails",
  "the search index",
  "push notifications",
  "the price list",
  "onboarding for new colleagues",
  "the release notes",
  "slow database queries",
  "the dark theme",
  "the backup restore",
  "the accessibility report",
  "the calendar import",
];
const COMMENTS = [
  "I have started on this; a first version is there tomorrow.",
  "Can somebody with access to the old system have a look?",
  "Done on staging. Please try it.",
  "The numbers look better than last month.",
  "We said on Monday that this can wait for the release.",
  "Two small things are left, then it is through.",
];

/** The transitions of a task, and how many of ten tasks take them. */
const COURSES: { steps: string[]; share: number }[] = [
  { steps: [], share: 4 },
  { steps: ["in_progress"], share: 2 },
  { steps: ["completed"], share: 3 },
  { steps: ["cancelled"], share: 1 },
];
const ALL_SHARES = COURSES.reduce((sum, { share }) => sum + share, 0);

const pick = <Item>(items: readonly Item[], at: number): Item => items[at % items.length] as Item;

/** Pseudo-random numbers from 0 to 2³², the same in each run (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

function courseOf(number: number): string[] {
  let left = number % ALL_SHARES;
  for (const { steps, share } of COURSES) {
    if (left < share) return steps;
    left -= share;
  }
  return [];
}

/** Task number `at`, its transitions and comments. */
function plan(at: number, people: Person[]) {
  const next = numbers(at + 1);
  const project = next() % PROJECTS.length;
  const steps = courseOf(next());
  // Open tasks are due around today, some of them overdue; done ones were due before.
  const days = steps.length === 0 || steps[0] === "in_progress" ? (next() % 40) - 9 : (next() % 30) - 32;
  const round = Math.floor(at / (VERBS.length * THINGS.length));
  const title = `${pick(VERBS, at)} ${pick(THINGS, Math.floor(at / VERBS.length))}`;
  return {
    project,
    steps,
    // Only tasks that moved have comments.
    comments: steps.length === 0 ? 0 : Math.max(0, (next() % 4) - 2),
    remark: next(),
    task: {
      title: round === 0 ? title : `${title} (${round + 1})`,
      description: next() % 3 === 0 ? `Noted in the weekly meeting; see also item ${at + 1}.` : null,
      priority: pick(["low", "medium", "medium", "high", "urgent"], next()),
      due_date: next() % 4 === 0 ? null : new Date(Date.now() + days * 86_400_000).toISOString(),
      assigned_to: next() % 5 === 0 ? null : pick(people, next()).id,
    },
  };
}

async function logIn(): Promise<Person[]> {
  const people: Person[] = [];
  // The first account shows whether the demo exists: registering again would cost the strict rate limit.
  let isNew = false;
  for (const { role, ...person } of PEOPLE) {
    const email = `${person.username}@example.com`;
    const register = () =>
      request("POST", "/auth/register", { body: { ...person, email, password: PASSWORD }, expected: [409] });
    const tryLogin = () =>
      request("POST", "/auth/login", { body: { email, password: PASSWORD }, expected: [401] });
    if (isNew) await register();
    let login = await tryLogin();
    if (login.status === 401 && !isNew) {
      isNew = true;
      await register();
      login = await tryLogin();
    }
    if (login.status === 401)
      throw new Error(`${email} exists with another password than the demo's: seed another system`);
    const { user, access_token } = login.body as { user: { id: string }; access_token: string };
    people.push({ role, id: user.id, token: access_token });
  }
  return people;
}

/** The ids of the demo's projects; makes the missing ones. */
async function makeProjects([owner, ...others]: [Person, ...Person[]]): Promise<string[]> {
  const { token } = owner;
  const { body } = await request("GET", "/projects?limit=100", { token });
  const there = (body as { items: { id: string; name: string }[] }).items;
  const projects: string[] = [];
  for (const name of PROJECTS) {
    const found = there.find((project) => project.name === name);
    const id =
      found?.id ??
      ((await request("POST", "/projects", { body: { name }, token })).body as { id: string }).id;
    const { body: members } = await request("GET", `/projects/${id}/members?limit=100`, { token });
    const known = (members as { items: { user_id: string }[] }).items.map(({ user_id }) => user_id);
    for (const { id: user_id, role } of others)
      if (!known.includes(user_id))
        await request("POST", `/projects/${id}/members`, { body: { user_id, role }, token, expected: [409] });
    projects.push(id);
  }
  return projects;
}

/** The tasks of a project, by title. */
async function tasksOf(project: string, token: string): Promise<Map<string, Task>> {
  const tasks = new Map<string, Task>();
  let path: string | null = `/projects/${project}/tasks?limit=100`;
  while (path !== null) {
    const { body } = await request("GET", path, { token });
    const page = body as { items: Task[]; next_cursor: string | null };
    for (const task of page.items) tasks.set(task.title, task);
    path =
      page.next_cursor === null
        ? null
        : `/projects/${project}/tasks?limit=100&cursor=${encodeURIComponent(page.next_cursor)}`;
  }
  return tasks;
}

async function seed(total: number): Promise<void> {
  const people = (await logIn()) as [Person, ...Person[]];
  const projects = await makeProjects(people);
  const there = await Promise.all(projects.map((project, at) => tasksOf(project, pick(people, at).token)));

  const assigners = people.filter(({ role }) => role === "owner" || role === "manager");
  const members = people.filter(({ role }) => role === "member");
  const plans = Array.from({ length: total }, (_, at) => plan(at, people));
  // An interrupted run left tasks that are still at version 1 although they have transitions.
  const missing = plans.flatMap((planned, at) => {
    const found = there[planned.project]?.get(planned.task.title);
    return found === undefined || (planned.steps.length > 0 && found.version === 1)
      ? [{ planned, at, found }]
      : [];
  });
  if (missing.length === 0) {
    console.log(`The demo exists already, with all of its ${total} tasks: nothing changed.`);
    return;
  }
  if (missing.length < total) console.log(`${missing.length} of ${total} tasks were missing or unfinished.`);

  const atOnce = pLimit(REQUESTS_AT_ONCE);
  let done = 0;
  const one = async ({ planned, at, found }: (typeof missing)[number]): Promise<void> => {
    // Members take turns: one alone would reach the rate limit.
    const member = pick(members, at);
    let task = found;
    if (task === undefined) {
      const path = `/projects/${projects[planned.project]}/tasks`;
      task = (await request("POST", path, { body: planned.task, token: pick(assigners, at).token }))
        .body as Task;
    }
    // Comments come before transitions and carry a key, so that a run after an interruption repeats none.
    for (let number = 0; number < planned.comments; number++)
      await request("POST", `/tasks/${task.id}/comments`, {
        body: { body: pick(COMMENTS, planned.remark + number) },
        token: pick(members, at + number).token,
        key: `demo-${task.id}-${number}`,
      });
    for (const to of planned.steps)
      await request("POST", `/tasks/${task.id}/transitions`, {
        body: { to },
        token: member.token,
        expected: [409],
      });
    if (++done % 50 === 0 || done === missing.length)
      process.stdout.write(`\r${done} of ${missing.length} tasks`);
  };
  await Promise.all(missing.map((task) => atOnce(() => one(task))));
  console.log(
    `\n\nLog in as any of ${PEOPLE.map(({ username }) => username).join(", ")}, password "${PASSWORD}":\n`,
  );
  console.log(`  curl ${url}/auth/login -H 'Content-Type: application/json' \\`);
  console.log(`    -d '{"login":"${DEMO.login}","password":"${PASSWORD}"}'`);
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const argument = args[0]?.includes("://") ? args.shift() : undefined;
  const total = Number(args[0] ?? 500);
  if (!Number.isInteger(total) || total < 1 || total > 100_000)
    throw new Error("Usage: npm run seed -- [http://127.0.0.1:3000] [number of tasks]");
  url = taskwireUrl(argument, process.env);
  await seed(total);
}

await main().catch((error: unknown) => {
  const { cause } = error as Error & { cause?: { code?: string } };
  console.error(
    cause?.code === "ECONNREFUSED"
      ? `Nothing answers at ${url}: run \`npm start\` in another terminal.`
      : explain(error),
  );
  process.exitCode = 1;
});
