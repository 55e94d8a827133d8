/**
 * `npm run seed`: fills a running Taskwire with a demo, through its API like anybody else: users of each project role,
 * projects, 500 tasks. `npm run seed -- [http://127.0.0.1:3000] [number of tasks]`
 */
import { setTimeout as delay } from "node:timers/promises";
import pLimit from "p-limit";

const [url = "http://127.0.0.1:3000", count = "500"] = process.argv.slice(2);
const PASSWORD = "demo demo demo";

interface Login {
  access_token: string;
  user: { id: string };
}

async function request<Body>(
  method: string,
  path: string,
  body?: object,
  token?: string,
): Promise<Body | null> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      "Content-Type": "application/json",
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (response.status === 409) return null;
  if (response.status === 429) {
    await delay(Number(response.headers.get("retry-after") ?? 1) * 1000);
    return request(method, path, body, token);
  }
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Body;
}

const PEOPLE = [
  { username: "demo-owner", first_name: "Ada", last_name: "Lovelace", role: "owner" },
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
const PRIORITIES = ["low", "medium", "medium", "high", "urgent"];
const STATUSES = ["pending", "pending", "in_progress", "completed", "cancelled"];

const pick = <Item>(items: readonly Item[], at: number): Item => items[at % items.length] as Item;

async function seed(): Promise<void> {
  const people: { id: string; role: string; token: string }[] = [];
  for (const { role, ...person } of PEOPLE) {
    const email = `${person.username}@example.com`;
    await request("POST", "/auth/register", { ...person, email, password: PASSWORD });
    const login = await request<Login>("POST", "/auth/login", { email, password: PASSWORD });
    if (login === null) throw new Error(`${email} can't log in`);
    people.push({ role, id: login.user.id, token: login.access_token });
  }
  const [owner, ...others] = people;
  if (owner === undefined) return;

  const there = await request<{ total: number }>("GET", "/projects", undefined, owner.token);
  if (there !== null && there.total > 0) {
    console.log("The demo is there already.");
    return;
  }
  const projects: string[] = [];
  for (const name of PROJECTS) {
    const project = await request<{ id: string }>("POST", "/projects", { name }, owner.token);
    if (project === null) throw new Error(`the project ${name} can't be made`);
    for (const { id, role } of others)
      await request("POST", `/projects/${project.id}/members`, { user_id: id, role }, owner.token);
    projects.push(project.id);
  }

  const authors = people.filter(({ role }) => role === "owner" || role === "manager");
  const atOnce = pLimit(8);
  let done = 0;
  const total = Number(count);
  await Promise.all(
    Array.from({ length: total }, (_, at) =>
      atOnce(async () => {
        const due = new Date(Date.now() + ((at % 60) - 20) * 86_400_000).toISOString();
        const task = {
          title: `${pick(VERBS, at)} ${pick(THINGS, Math.floor(at / VERBS.length) + at)}`,
          description: at % 3 === 0 ? `Noted in the weekly meeting; see also item ${at}.` : null,
          priority: pick(PRIORITIES, at * 7),
          status: pick(STATUSES, at * 3),
          due_date: at % 4 === 0 ? null : due,
          assigned_to: at % 5 === 0 ? null : pick(people, at).id,
        };
        // Those who may assign take turns: one alone would run into the rate limit.
        await request("POST", `/projects/${pick(projects, at)}/tasks`, task, pick(authors, at).token);
        if (++done % 50 === 0 || done === total) process.stdout.write(`\r${done} of ${total} tasks`);
      }),
    ),
  );
  console.log(
    `\n\nLog in as any of ${PEOPLE.map(({ username }) => username).join(", ")}, password "${PASSWORD}":\n`,
  );
  console.log(`  curl ${url}/auth/login -H 'Content-Type: application/json' \\`);
  console.log(`    -d '{"login":"demo-owner","password":"${PASSWORD}"}'`);
}

try {
  await seed();
} catch (error) {
  const { message, cause } = error as Error & { cause?: { code?: string } };
  console.error(
    cause?.code === "ECONNREFUSED" ? `Nobody serves ${url}: run \`npm start\` in another terminal.` : message,
  );
  process.exit(1);
}
