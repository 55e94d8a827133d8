import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Answer, PASSWORD, type Person, type Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { upTo } from "../support/counting.ts";
import { expectProblem } from "../support/expectations.ts";

let node: TestNode;
let ada: Person;
let ben: Person;
/** Ada's, and Ben is in it. */
let project: Wire;
let other: Wire;
/** With comments. */
let task: Wire;

const PRIORITIES = ["low", "medium", "high", "urgent"];

beforeAll(async () => {
  node = await startTestNode();
  [ada, ben] = (await Promise.all(["ada", "ben"].map((name) => node.api.person(name)))) as [Person, Person];
  project = await ada.api.must("POST", "/projects", { name: "Launch" });
  other = await ada.api.must("POST", "/projects", { name: "Other" });
  await ada.api.must("POST", "/projects", { name: "Third" });
  for (const { id } of [ben, await node.api.person("cem"), await node.api.person("dan")])
    await ada.api.must("POST", `/projects/${project.id}/members`, { user_id: id, role: "viewer" });
  // Many that are alike: of two priorities each, some due and some not, all called one of two names.
  const answers = await Promise.all(
    upTo(11).map((n) =>
      ada.api.must("POST", "/tasks", {
        title: `deploy ${n % 2}`,
        priority: PRIORITIES[n % 4],
        ...(n % 3 > 0 && { due_date: `2030-01-0${1 + (n % 2)}T00:00:00Z` }),
        ...(n % 5 > 1 && { project_id: project.id }),
        ...(n % 5 === 1 && { assigned_to: ben.id }),
      }),
    ),
  );
  task = answers[0];
  for (const body of ["one", "two", "three"])
    await ada.api.must("POST", `/tasks/${task.id}/comments`, { body });
  for (const name of ["b", "A", "c"]) await ada.api.must("POST", "/categories", { name, color: "#000000" });
  for (const name of ["one", "two", "three"])
    await ada.api.must("POST", "/auth/tokens", { name, scope: "read" });
  for (const _ of upTo(2))
    await node.api.must("POST", "/auth/login", { login: ada.username, password: PASSWORD });
});
afterAll(async () => {
  await node?.stop();
});

const nextOf = ({ headers }: Answer): string | null =>
  /^<([^>]+)>; rel="next"$/.exec(headers.get("link") ?? "")?.[1] ?? null;

/** All pages from `path` on, as the Link headers lead. */
async function follow(path: string, who = ada): Promise<Answer[]> {
  const pages: Answer[] = [];
  for (
    let next: string | null = path;
    next !== null && pages.length < 100;
    next = nextOf(pages.at(-1) as Answer)
  ) {
    const page = await who.api.get(next);
    expect([next, page.status]).toEqual([next, 200]);
    pages.push(page);
  }
  return pages;
}

/** A project's members have no id of their own. */
const ids = (pages: Answer[]): string[] =>
  pages.flatMap(({ body }) => body.items.map((item: Wire): string => item.id ?? item.user_id));

describe("pages by cursor", () => {
  const LISTS: [what: string, path: () => string][] = [
    ["/tasks", () => "/tasks"],
    ["/tasks?q=deploy", () => "/tasks?q=deploy"],
    ["/tasks?assigned_to=", () => `/tasks?assigned_to=${ben.id}`],
    ["/tasks?status=pending&priority=low,high", () => "/tasks?status=pending&priority=low,high"],
    ["/tasks?project_id=", () => `/tasks?project_id=${project.id}`],
    ["/projects/{project}/tasks", () => `/projects/${project.slug}/tasks`],
    ["/projects", () => "/projects"],
    ["/projects/{project}/members", () => `/projects/${project.id}/members`],
    ["/tasks/{id}/comments", () => `/tasks/${task.id}/comments`],
    ["/categories", () => "/categories"],
    ["/users", () => "/users"],
    ["/auth/sessions", () => "/auth/sessions"],
    ["/auth/tokens", () => "/auth/tokens"],
  ];

  test.each(LISTS)("of %s hold the same as the list by offset, each once, in order", async (_, path) => {
    const url = path();
    const and = url.includes("?") ? "&" : "?";
    const whole = await ada.api.must("GET", `${url}${and}limit=100`);
    const pages = await follow(`${url}${and}cursor=&limit=2`);
    expect(ids(pages)).toEqual(ids([{ body: whole } as Answer]));
    expect(pages.length).toBe(Math.ceil(whole.total / 2));
    expect(pages.length).toBeGreaterThan(1);
    for (const [n, { body }] of pages.entries()) {
      expect(Object.keys(body).sort()).toEqual(["items", "limit", "next_cursor"]);
      expect(body.limit).toBe(2);
      if (n === pages.length - 1) expect(body.next_cursor).toBeNull();
      else expect(body.next_cursor).toMatch(/^[\w-]+$/);
    }
  });

  test.each([
    "created_at",
    "-updated_at",
    "title",
    "-title",
    "due_date",
    "-due_date",
    "priority",
    "-priority,title",
    "title,-priority,due_date",
    "-status,-title,priority",
  ])("sort=%s: equal tasks are neither left out nor repeated", async (sort) => {
    for (const path of ["/tasks", `/projects/${project.id}/tasks`, "/tasks?q=deploy"]) {
      const url = `${path}${path.includes("?") ? "&" : "?"}sort=${sort}`;
      const whole = await ada.api.must("GET", `${url}&limit=100`);
      expect(ids(await follow(`${url}&cursor=&limit=3`))).toEqual(ids([{ body: whole } as Answer]));
    }
  });

  test.each(["-rank", "rank", "priority,-rank"])("sort=%s of a search", async (sort) => {
    const url = `/tasks?q=deploy&sort=${sort}`;
    const whole = await ada.api.must("GET", `${url}&limit=100`);
    expect(ids(await follow(`${url}&cursor=&limit=3`))).toEqual(ids([{ body: whole } as Answer]));
  });

  test("stay as they are while rows come before them and go", async () => {
    const eve = await node.api.person("eve");
    const create = (n: number): Promise<Wire> => eve.api.must("POST", "/tasks", { title: `${n}` });
    const made: Wire[] = [];
    for (const n of upTo(6)) made.push(await create(n));
    const first = await eve.api.get("/tasks?limit=2&cursor=");
    await create(7);
    // The one at which the page ended, and one that was to come.
    for (const n of [4, 1]) await eve.api.must("DELETE", `/tasks/${made[n].id}`);
    const rest = await follow(nextOf(first) as string, eve);
    expect(
      [first, ...rest].flatMap(({ body }) => body.items.map(({ title }: Wire): string => title)),
    ).toEqual(["6", "5", "4", "3", "1"]);
  });

  test("may be of another size from one to the next", async () => {
    const { next_cursor } = (await ada.api.get("/tasks?limit=2")).body;
    const { body } = await ada.api.get(`/tasks?limit=5&cursor=${next_cursor}`);
    const whole = await ada.api.must("GET", "/tasks?limit=7");
    expect(body.items).toEqual(whole.items.slice(2));
  });

  test("an empty list has one page", async () => {
    const nobody = await node.api.person("nobody");
    expect((await nobody.api.get("/tasks?cursor=")).body).toEqual({
      items: [],
      limit: 20,
      next_cursor: null,
    });
  });
});

describe("Link", () => {
  test.each(["", "/api/v1"])(
    "under '%s' leads on from an offset by cursor, and keeps the filters",
    async (prefix) => {
      const path = `${prefix}/projects/${project.slug}/tasks`;
      const first = await ada.api.get(
        `${path}?status=pending,cancelled&q=deploy%20-nothing&limit=3&offset=1`,
      );
      const next = new URL(nextOf(first) as string, node.url);
      expect(next.pathname).toBe(path);
      expect(Object.fromEntries(next.searchParams)).toEqual({
        status: "pending,cancelled",
        q: "deploy -nothing",
        limit: "3",
        cursor: first.body.next_cursor,
      });
      const whole = await ada.api.must("GET", `${path}?q=deploy%20-nothing`);
      expect(ids([first, ...(await follow(nextOf(first) as string))])).toEqual(
        whole.items.slice(1).map(({ id }: Wire): string => id),
      );
    },
  );

  test("is not there at the end", async () => {
    for (const query of ["limit=100", "limit=100&cursor=", "offset=50"]) {
      const { headers, body } = await ada.api.get(`/tasks?${query}`);
      expect([headers.get("link"), body.next_cursor]).toEqual([null, null]);
    }
  });

  test("is in the answer to HEAD too", async () => {
    const head = await ada.api.request("HEAD", "/tasks?limit=1");
    expect([head.status, nextOf(head)]).toEqual([200, nextOf(await ada.api.get("/tasks?limit=1"))]);
  });

  test("a cursor of one prefix holds under the other, and with a slash at the end", async () => {
    const { next_cursor } = (await ada.api.get("/api/v1/tasks?limit=1")).body;
    for (const path of ["/tasks", "/tasks/", "/api/v1/tasks/"])
      expect((await ada.api.get(`${path}?limit=1&cursor=${next_cursor}`)).status).toBe(200);
  });
});

describe("a cursor is refused with 422", () => {
  let cursor: string;
  beforeAll(async () => {
    cursor = (await ada.api.must("GET", "/tasks?limit=1")).next_cursor;
  });
  const ask = (path: string, it = cursor, who = ada): Promise<Answer> =>
    who.api.get(`${path}${path.includes("?") ? "&" : "?"}limit=1&cursor=${encodeURIComponent(it)}`);
  const refuse = (answer: Answer): void => expectProblem(answer, 422, "validation-failed", ["?cursor"]);

  test("altered in any one place", async () => {
    for (let n = 0; n < cursor.length; n += 3) {
      const changed = cursor[n] === "A" ? "B" : "A";
      refuse(await ask("/tasks", `${cursor.slice(0, n)}${changed}${cursor.slice(n + 1)}`));
    }
  });

  test("whose seal is right and whose position is another one", async () => {
    const next = (await ada.api.must("GET", `/tasks?limit=1&cursor=${cursor}`)).next_cursor as string;
    const [one, other] = [cursor, next].map((sealed) => Buffer.from(sealed, "base64url")) as [Buffer, Buffer];
    // Each is a seal of 16 bytes, and a position that reads as one.
    const forged = Buffer.concat([one.subarray(0, 16), other.subarray(16)]).toString("base64url");
    expect(JSON.parse(other.subarray(16).toString())).toHaveLength(2);
    refuse(await ask("/tasks", forged));
    expect((await ask("/tasks", next)).status).toBe(200);
  });

  test("cut or lengthened", async () => {
    for (const it of [
      cursor.slice(1),
      cursor.slice(0, -1),
      cursor.slice(0, 22),
      cursor.slice(0, 3),
      `${cursor}A`,
    ])
      refuse(await ask("/tasks", it));
  });

  test.each(["x", "null", "[]", "0", " ", "=", "\u{1f418}", "../..", "MTIz"])("%j", async (it) => {
    refuse(await ask("/tasks", it));
  });

  test("the plain position that services use among themselves", async () => {
    const position = JSON.stringify([task.created_at, task.id]);
    for (const it of [position, Buffer.from(position).toString("base64url")]) refuse(await ask("/tasks", it));
  });

  test("of another user", async () => {
    refuse(await ask("/tasks", cursor, ben));
  });

  test.each([
    ["another filter", "/tasks?status=pending"],
    ["another search", "/tasks?q=deploy"],
    ["another sort", "/tasks?sort=created_at"],
    ["another list", "/projects"],
    ["another list that sorts alike", "/auth/sessions"],
  ])("of %s", async (_, path) => {
    refuse(await ask(path));
  });

  test("of a project, for another project", async () => {
    const { next_cursor } = (await ada.api.get(`/projects/${project.id}/tasks?limit=1`)).body;
    refuse(await ask(`/projects/${other.id}/tasks`, next_cursor));
    expect((await ask(`/projects/${project.id}/tasks`, next_cursor)).status).toBe(200);
  });

  test("beside an offset, also one of 0", async () => {
    for (const offset of [0, 3]) refuse(await ask(`/tasks?offset=${offset}`));
    refuse(await ada.api.get("/tasks?cursor=&offset=0"));
  });

  test("given twice", async () => {
    refuse(await ada.api.get(`/tasks?cursor=&cursor=${cursor}`));
  });

  test("too long to be one", async () => {
    refuse(await ask("/tasks", "A".repeat(5000)));
  });
});
