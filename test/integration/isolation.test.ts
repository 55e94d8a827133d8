/**
 * What belongs to others stays theirs. For every route of the gateway's table, whatever the ids of somebody's things could
 * be put into is tried with them, and then with ids of nothing: both get the same answer, it tells nothing, and no row of
 * the database is another one afterwards.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import { type Answer, Api, PASSWORD, type Person, type Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { openDatabase } from "../support/database.ts";

/** Words that only members of the project may read, and words that only the owner may. */
const SHARED = "walrus";
const PRIVATE = "narwhal";

type Ids = Record<
  | "project"
  | "slug"
  | "deletedProject"
  | "task"
  | "deletedTask"
  | "lostTask"
  | "personal"
  | "comment"
  | "category"
  | "session"
  | "token"
  | "member"
  | "username"
  | "email",
  string
>;

/** Things of the caller's own, through which one may try to reach those of others. */
interface Own {
  project: string;
  task: string;
  personal: string;
  comment: string;
  id: string;
}

interface Attempt {
  path: string;
  body?: object;
  /** What who can't see it gets. */
  stranger: number;
  /** What a viewer of the project gets. */
  viewer: number;
  /** The status of a bulk request's last operation, likewise. */
  operation?: { stranger: number; viewer: number };
  /** Nobody's secret: who exists among people, and oneself. Then the answer for an id of nobody may be another one. */
  people?: true;
  /** Needs no credentials. */
  anyone?: true;
  /** Ends something of the caller's own, so it is tried by somebody who has nothing to lose. */
  passerBy?: true;
  /** The caller's own log, which keeps the projects of memberships, and the tasks of assignments, that were lost since. */
  remembers?: true;
}

type Attempts = (ids: Ids, own: Own) => Attempt[];

/** The same for everybody. */
const all = (status: number, path: string, body?: object, more: Partial<Attempt> = {}): Attempt => ({
  path,
  ...(body !== undefined && { body }),
  stranger: status,
  viewer: status,
  ...more,
});
const anyone = (status: number, path: string, body: object, more: Partial<Attempt> = {}): Attempt =>
  all(status, path, body, { anyone: true, ...more });

const inProject =
  (rest: string, viewer: number, body?: object): Attempts =>
  ({ project, slug, deletedProject }) =>
    [project, project.toUpperCase(), slug, deletedProject].map((reference) => ({
      path: `/projects/${reference}${rest}`,
      ...(body !== undefined && { body }),
      stranger: 404,
      viewer: reference === deletedProject ? 404 : viewer,
    }));

const onTask =
  (rest: string, viewer: number, body?: object): Attempts =>
  ({ task, personal, deletedTask, lostTask }) =>
    [task, personal, deletedTask, lostTask].map((id) => ({
      path: `/tasks/${id}${rest}`,
      ...(body !== undefined && { body }),
      stranger: 404,
      viewer: id === task ? viewer : 404,
    }));

/** A member of the project, and through a project of one's own. */
const onMember =
  (viewer: number, body?: object): Attempts =>
  (ids, own) => [
    ...inProject(`/members/${ids.member}`, viewer, body)(ids, own),
    all(404, `/projects/${own.project}/members/${ids.member}`, body),
  ];

/**
 * A comment by its own path, by that of a task of one's own, and one's own comment by the path of theirs.
 * @param elsewhere what a viewer gets for a comment that is not the task's: 403 where rights are judged before it is sought
 */
const onComment =
  (viewer: number, body?: object, rest = "", elsewhere = 404): Attempts =>
  (ids, own) => [
    ...onTask(`/comments/${ids.comment}${rest}`, viewer, body)({ ...ids, personal: ids.lostTask }, own),
    all(404, `/tasks/${own.task}/comments/${ids.comment}${rest}`, body),
    { ...all(404, `/tasks/${ids.task}/comments/${own.comment}${rest}`, body), viewer: elsewhere },
  ];

/** An operation in a bulk request by itself, and after one that would do. */
const inBulk = (operation: object, stranger: number, viewer: number): Attempt[] =>
  [[operation], [{ op: "create", title: "Mine" }, operation]].map((operations) => ({
    ...all(422, "/tasks/bulk", { operations }),
    operation: { stranger, viewer },
  }));

/** Filters of lists of tasks that name what is others'. */
const filters = ({ project, category, member }: Ids): string[] => [
  "",
  `?category_id=${category}`,
  `?created_by=${member}`,
  `?assigned_to=${member}`,
  `?assigned_to=me`,
  `?q=${SHARED}`,
  `?q=${PRIVATE}`,
  `?include_deleted=true`,
  `?include_deleted=true&created_by=${member}`,
  `?include_deleted=true&cursor=`,
  `?limit=1&offset=100`,
  `?status=pending&sort=title&category_id=${category}`,
  `?project_id=${project}`,
];

const references = ({ category }: Ids): object[] => [{ category_id: category }];

const TRIED: Record<string, Attempts> = {
  "POST /auth/register": () => [anyone(422, "/auth/register", { id: newId(), role: "admin" })],
  "POST /auth/login": ({ username, email }) =>
    [username, email].map((login) => anyone(401, "/auth/login", { login, password: "not the password" })),
  "POST /auth/refresh": ({ session, token }) =>
    [session, token].map((refresh_token) => anyone(401, "/auth/refresh", { refresh_token })),
  "POST /auth/logout": () => [all(204, "/auth/logout", undefined, { passerBy: true })],
  "POST /auth/logout-all": () => [all(204, "/auth/logout-all", undefined, { passerBy: true })],
  "GET /auth/me": ({ member }) => [all(200, "/auth/me"), all(422, `/auth/me?id=${member}`)],
  "GET /auth/sessions": ({ member }) => [
    all(200, "/auth/sessions"),
    all(422, `/auth/sessions?user_id=${member}`),
  ],
  "DELETE /auth/sessions/:id": ({ session }) => [all(404, `/auth/sessions/${session}`)],
  "POST /auth/verify-email": ({ session }) => [anyone(422, "/auth/verify-email", { token: session })],
  "POST /auth/verify-email/resend": ({ email }) => [
    all(202, "/auth/verify-email/resend", undefined, { passerBy: true }),
    all(422, "/auth/verify-email/resend", { email }),
  ],
  "POST /auth/password/forgot": ({ email }) => [anyone(202, "/auth/password/forgot", { email })],
  "POST /auth/password/reset": ({ session }) => [
    anyone(422, "/auth/password/reset", { token: session, password: "another horse battery" }),
  ],
  "POST /auth/password/change": ({ member }) => [
    all(422, "/auth/password/change", {
      user_id: member,
      current_password: "x",
      password: "another horse battery",
    }),
  ],
  "GET /auth/tokens": ({ member }) => [all(200, "/auth/tokens"), all(422, `/auth/tokens?user_id=${member}`)],
  "POST /auth/tokens": ({ member }) => [
    all(422, "/auth/tokens", { name: "x", scope: "read", user_id: member }),
  ],
  "DELETE /auth/tokens/:id": ({ token }) => [all(404, `/auth/tokens/${token}`)],

  "GET /users": ({ email }) => [
    all(200, `/users?q=${encodeURIComponent(email)}`),
    all(200, "/users?q=@example.com"),
  ],
  "GET /users/:id": ({ member }) => [all(200, `/users/${member}`, undefined, { people: true })],
  "PATCH /users/:id": ({ member, email }, { id }) => [
    ...[{ first_name: "x" }, { email: "x@example.com" }, { role: "admin" }, { is_active: false }].map(
      (body) => all(403, `/users/${member}`, body, { people: true }),
    ),
    all(403, `/users/${id}`, { role: "admin" }, { people: true }),
    all(409, `/users/${id}`, { email }, { people: true }),
  ],
  "DELETE /users/:id": ({ member }) => [all(403, `/users/${member}`, undefined, { people: true })],

  "GET /projects": () =>
    [
      "",
      `?q=${SHARED}`,
      "?include_deleted=true",
      `?q=${SHARED}&include_deleted=true`,
      "?status=active,archived",
    ].map((query) => all(200, `/projects${query}`)),
  "POST /projects": ({ member }) => [all(422, "/projects", { name: "x", owner_id: member })],
  "GET /projects/:project": inProject("", 200),
  "PUT /projects/:project": inProject("", 403, { name: "Mine" }),
  "PATCH /projects/:project": inProject("", 403, { name: "Mine", status: "archived" }),
  "DELETE /projects/:project": inProject("", 403),
  "POST /projects/:project/restore": (ids) => [
    { path: `/projects/${ids.deletedProject}/restore`, stranger: 404, viewer: 403 },
    all(404, `/projects/${ids.project}/restore`),
  ],
  "GET /projects/:project/members": inProject("/members", 200),
  "POST /projects/:project/members": (ids, own) => [
    ...inProject("/members", 403, { user_id: own.id, role: "owner" })(ids, own),
    ...inProject("/members", 403, { user_id: ids.member, role: "viewer" })(ids, own),
  ],
  "GET /projects/:project/members/:user_id": onMember(200),
  "PATCH /projects/:project/members/:user_id": onMember(403, { role: "owner" }),
  "DELETE /projects/:project/members/:user_id": onMember(403),
  "GET /projects/:project/events": inProject("/events?after=1", 200),
  "POST /sync": (ids) => [
    ...[`project:${ids.deletedProject}`, `user:${ids.member}`].map((stream) =>
      all(200, "/sync", { cursors: { [stream]: "0" } }),
    ),
    // A viewer gets the project's events.
    all(200, "/sync", { cursors: { [`project:${ids.project}`]: "0" } }, { people: true }),
  ],
  // Who may read gets a response without an end (test/contract/event-stream.test.ts).
  "GET /events/stream": () => [all(422, "/events/stream?after=x")],
  "GET /projects/:project/events/stream": ({ deletedProject }) => [
    all(404, `/projects/${deletedProject}/events/stream`),
  ],
  "GET /events": () => [all(200, "/events?limit=100", undefined, { remembers: true })],
  "GET /projects/:project/snapshot": inProject("/snapshot", 200),
  "GET /projects/:project/tasks": (ids, own) => [
    ...inProject("/tasks", 200)(ids, own),
    ...inProject(`/tasks?q=${SHARED}&sort=-rank&include_deleted=true`, 200)(ids, own),
    ...[`?category_id=${ids.category}`, `?created_by=${ids.member}`, `?q=${SHARED}`, `?q=${PRIVATE}`].map(
      (query) => all(200, `/projects/${own.project}/tasks${query}`),
    ),
  ],
  "POST /projects/:project/tasks": (ids, own) => [
    ...inProject("/tasks", 403, { title: "Mine" })(ids, own),
    ...inProject("/tasks", 403, { title: "Mine", assigned_to: ids.member, category_id: ids.category })(
      ids,
      own,
    ),
    ...references(ids).map((more) => all(422, `/projects/${own.project}/tasks`, { title: "Mine", ...more })),
    all(422, `/projects/${own.project}/tasks`, { title: "Mine", assigned_to: ids.member }, { people: true }),
  ],

  "GET /tasks": (ids) => filters(ids).map((query) => all(200, `/tasks${query}`)),
  "POST /tasks": (ids, own) => [
    ...[ids.project, ids.deletedProject].flatMap((project_id) =>
      [{}, { assigned_to: ids.member }, { category_id: ids.category }].map((more) => ({
        path: "/tasks",
        body: { title: "Mine", project_id, ...more },
        stranger: 404,
        viewer: project_id === ids.project ? 403 : 404,
      })),
    ),
    ...references(ids).flatMap((more) => [
      all(422, "/tasks", { title: "Mine", ...more }),
      all(422, "/tasks", { title: "Mine", project_id: own.project, ...more }),
    ]),
    all(422, "/tasks", { title: "Mine", project_id: own.project, assigned_to: ids.member }, { people: true }),
  ],
  "POST /tasks/bulk": (ids, own) => [
    ...inBulk({ op: "create", title: "Mine", project_id: ids.project }, 404, 403),
    ...inBulk({ op: "create", title: "Mine", category_id: ids.category }, 422, 422),
    ...inBulk({ op: "update", id: ids.task, title: "Mine" }, 404, 403),
    ...inBulk({ op: "update", id: ids.task, category_id: ids.category }, 404, 403),
    ...inBulk({ op: "update", id: own.task, category_id: ids.category }, 422, 422),
    ...inBulk({ op: "transition", id: ids.task, to: "completed" }, 404, 403),
    ...inBulk({ op: "assign", id: ids.task, assigned_to: own.id }, 404, 403),
    ...inBulk({ op: "delete", id: ids.task }, 404, 403),
    ...[ids.personal, ids.deletedTask, ids.lostTask].flatMap((id) => inBulk({ op: "delete", id }, 404, 404)),
  ],
  "GET /tasks/:id": onTask("", 200),
  "PUT /tasks/:id": (ids, own) => [
    ...onTask("", 403, { title: "Mine" })(ids, own),
    ...onTask("", 403, { title: "Mine", assigned_to: own.id, category_id: ids.category })(ids, own),
    ...references(ids).map((more) => all(422, `/tasks/${own.task}`, { title: "Mine", ...more })),
    all(422, `/tasks/${own.task}`, { title: "Mine", assigned_to: ids.member }, { people: true }),
  ],
  "PATCH /tasks/:id": (ids, own) => [
    ...onTask("", 403, { title: "Mine" })(ids, own),
    ...onTask("", 403, { assigned_to: own.id })(ids, own),
    ...onTask("", 403, { category_id: ids.category })(ids, own),
    ...onTask("", 403, {})(ids, own),
    ...references(ids).flatMap((more) => [
      all(422, `/tasks/${own.task}`, more),
      all(422, `/tasks/${own.personal}`, more),
    ]),
    all(422, `/tasks/${own.task}`, { assigned_to: ids.member }, { people: true }),
  ],
  "DELETE /tasks/:id": onTask("", 403),
  "POST /tasks/:id/restore": (ids) => [
    { path: `/tasks/${ids.deletedTask}/restore`, stranger: 404, viewer: 403 },
    ...[ids.task, ids.personal, ids.lostTask].map((id) => all(404, `/tasks/${id}/restore`)),
  ],
  "POST /tasks/:id/assign": (ids, own) => [
    ...onTask("/assign", 403, { assigned_to: own.id })(ids, own),
    ...onTask("/assign", 403, { assigned_to: ids.member })(ids, own),
    ...onTask("/assign", 403, { assigned_to: null })(ids, own),
    all(422, `/tasks/${own.task}/assign`, { assigned_to: ids.member }, { people: true }),
  ],
  "POST /tasks/:id/transitions": onTask("/transitions", 403, { to: "completed" }),
  "POST /tasks/:id/move": (ids, own) => [
    ...onTask("/move", 403, {})(ids, own),
    // Another's task is no neighbour, and tells nothing of itself.
    ...[ids.task, ids.personal].map((before) => all(422, `/tasks/${own.task}/move`, { before })),
  ],
  "POST /tasks/:id/redact": onTask("/redact", 403),
  "POST /tasks/:id/comments/:comment_id/redact": onComment(403, undefined, "/redact", 403),
  "GET /tasks/:id/comments": onTask("/comments", 200),
  "POST /tasks/:id/comments": onTask("/comments", 403, { body: "Mine" }),
  "GET /tasks/:id/comments/:comment_id": onComment(200),
  "PATCH /tasks/:id/comments/:comment_id": onComment(403, { body: "Mine" }),
  "DELETE /tasks/:id/comments/:comment_id": onComment(403),

  "GET /categories": ({ member }) => [all(200, "/categories"), all(422, `/categories?user_id=${member}`)],
  "POST /categories": ({ member }) => [
    all(422, "/categories", { name: "x", color: "#000000", user_id: member }),
  ],
  "GET /categories/:id": ({ category }) => [all(404, `/categories/${category}`)],
  "PATCH /categories/:id": ({ category }) => [all(404, `/categories/${category}`, { name: "Mine" })],
  "DELETE /categories/:id": ({ category }) => [all(404, `/categories/${category}`)],
};

/** A write that the owner may do, and what who may not see it gets for the same. */
const WRITES: Record<
  string,
  (fresh: {
    deleted: string;
    deletedProject: string;
    pending: string;
    newcomer: string;
  }) => [string, object?, number?]
> = {
  "POST /projects": () => ["/projects", { name: PRIVATE }, 201],
  "POST /projects/:project/members": ({ newcomer }) => [
    `/projects/${ids.project}/members`,
    { user_id: newcomer, role: "member" },
  ],
  "POST /projects/:project/tasks": () => [`/projects/${ids.project}/tasks`, { title: PRIVATE }],
  "POST /tasks": () => ["/tasks", { title: PRIVATE }, 201],
  "POST /tasks/bulk": () => ["/tasks/bulk", { operations: [{ op: "create", title: PRIVATE }] }, 200],
  "POST /projects/:project/restore": ({ deletedProject }) => [`/projects/${deletedProject}/restore`],
  "POST /tasks/:id/restore": ({ deleted }) => [`/tasks/${deleted}/restore`],
  "POST /tasks/:id/assign": ({ pending }) => [`/tasks/${pending}/assign`, { assigned_to: ids.member }],
  "POST /tasks/:id/transitions": ({ pending }) => [`/tasks/${pending}/transitions`, { to: "in_progress" }],
  "POST /tasks/:id/move": ({ pending }) => [`/tasks/${pending}/move`, { after: ids.task }],
  "POST /tasks/:id/redact": ({ pending }) => [`/tasks/${pending}/redact`],
  "POST /tasks/:id/comments/:comment_id/redact": () => [`/tasks/${ids.task}/comments/${ids.comment}/redact`],
  "POST /tasks/:id/comments": ({ pending }) => [`/tasks/${pending}/comments`, { body: PRIVATE }],
  "POST /categories": () => ["/categories", { name: newId(), color: "#000000" }, 201],
};

let node: TestNode;
let db: pg.Client;
let owner: Person;
let readToken: string;
let people: Record<"stranger" | "former" | "viewer", Person>;
let owns: Record<"stranger" | "former" | "viewer" | "owner", Own>;
/** The owner's things; what the former member made is as good as theirs. */
let ids: Ids;
let formers: Ids;
const absent = (): Ids => ({
  ...(Object.fromEntries(Object.keys(ids).map((name) => [name, newId()])) as Ids),
  slug: `no-${newId().slice(-12)}`,
  username: `nobody-${newId().slice(-12)}`,
  email: `${newId()}@example.com`,
});

/** Every row of what the API keeps, but what concerns one user. Last uses of sessions are no change. */
const SNAPSHOT = `SELECT
  (SELECT json_agg(t ORDER BY id) FROM tasks.tasks t) AS tasks,
  (SELECT json_agg(t ORDER BY id) FROM tasks.comments t) AS comments,
  (SELECT json_agg(t ORDER BY id) FROM tasks.categories t) AS categories,
  (SELECT json_agg(t ORDER BY id) FROM projects.projects t) AS projects,
  (SELECT json_agg(t ORDER BY project_id, user_id) FROM projects.members t) AS members,
  (SELECT json_agg(t ORDER BY name) FROM events.streams t) AS streams,
  (SELECT count(*) FROM events.log) AS events,
  (SELECT json_agg(json_build_array(user_id, key) ORDER BY user_id, key) FROM idempotency.keys) AS keys,
  (SELECT json_agg(t ORDER BY id) FROM users.users t WHERE id <> $1) AS users,
  (SELECT json_agg(json_build_array(id, revoked_at) ORDER BY id) FROM auth.sessions WHERE user_id <> $1) AS sessions,
  (SELECT json_agg(t ORDER BY id) FROM auth.personal_tokens t WHERE user_id <> $1) AS tokens`;
const snapshot = async (but = newId()): Promise<unknown> => (await db.query(SNAPSHOT, [but])).rows[0];

/** Something of everything, of the owner's and of the former member's. */
beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  const names = ["owner", "member", "stranger", "former", "viewer"];
  const everybody = await Promise.all(names.map((name) => node.api.person(name)));
  const [first, member, stranger, former, viewer] = everybody as [Person, Person, Person, Person, Person];
  owner = first;
  people = { stranger, former, viewer };

  const { api } = owner;
  const make = (path: string, body: object, by = owner): Promise<Wire> => by.api.must("POST", path, body);
  const project = await make("/projects", { name: `The ${SHARED}`, description: SHARED });
  const gone = await make("/projects", { name: `The lost ${SHARED}` });
  for (const [who, role] of [
    [member, "member"],
    [former, "manager"],
    [viewer, "viewer"],
  ] as const)
    for (const { id } of [project, gone]) await make(`/projects/${id}/members`, { user_id: who.id, role });

  async function things(by: Person): Promise<Partial<Ids>> {
    const name = by === owner ? SHARED : "A label";
    const category = await make("/categories", { name, color: "#123456" }, by);
    const titled = { title: `A ${SHARED}`, description: SHARED, category_id: category.id };
    const task = await make(`/projects/${project.id}/tasks`, { ...titled, assigned_to: by.id }, by);
    const deleted = await make(`/projects/${project.id}/tasks`, titled, by);
    await by.api.must("DELETE", `/tasks/${deleted.id}`);
    const lost = await make(`/projects/${gone.id}/tasks`, titled, by);
    const comment = await make(`/tasks/${task.id}/comments`, { body: `What a ${SHARED}` }, by);
    await make(`/tasks/${task.id}/comments`, { body: `What a second ${SHARED}` });
    return {
      task: task.id,
      deletedTask: deleted.id,
      lostTask: lost.id,
      comment: comment.id,
      category: category.id,
    };
  }
  const [ofOwner, ofFormer] = [await things(owner), await things(former)];
  const personal = await make("/tasks", { title: `A ${PRIVATE}` });
  await make("/tasks", { title: `Another ${PRIVATE}` });
  await make("/categories", { name: PRIVATE, color: "#123456" });
  const token = await make("/auth/tokens", { name: PRIVATE, scope: "read" });
  await make("/auth/tokens", { name: `${PRIVATE} 2`, scope: "write" });
  readToken = token.token;
  const session = (await api.must("GET", "/auth/sessions")).items[0].id as string;
  for (const { id } of [project, gone]) await api.must("DELETE", `/projects/${id}/members/${former.id}`);
  await api.must("DELETE", `/projects/${gone.id}`);

  const shared = {
    project: project.id,
    slug: project.slug,
    deletedProject: gone.id,
    personal: personal.id,
    session,
    token: token.id,
    member: member.id,
    username: owner.username,
    email: owner.email,
  };
  ids = { ...shared, ...ofOwner } as Ids;
  // Their category stays theirs: what they lost is what lies in the project.
  formers = { ...shared, ...ofFormer, category: ids.category } as Ids;

  const own = async (by: Person): Promise<Own> => {
    const mine = await make("/projects", { name: "Mine" }, by);
    const task = await make(`/projects/${mine.id}/tasks`, { title: "Mine" }, by);
    const alone = await make("/tasks", { title: "Mine" }, by);
    const comment = await make(`/tasks/${task.id}/comments`, { body: "Mine" }, by);
    return { project: mine.id, task: task.id, personal: alone.id, comment: comment.id, id: by.id };
  };
  owns = {
    stranger: await own(stranger),
    former: await own(former),
    viewer: await own(viewer),
    owner: await own(owner),
  };
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

/** An answer without what each has for itself. */
function told({ status, headers, body }: Answer): object {
  const { request_id: _id, instance: _instance, ...rest } = (body ?? {}) as Wire;
  return { status, headers: [...headers.keys()].sort(), body: body === null ? null : rest };
}

/** The names and ids that a request brings along: an answer may say them again ("There is no task 0193…"). */
const namedBy = ({ path, body }: { path: string; body?: object | undefined }): string[] =>
  [...path.split(/[/?&=,]/), ...(JSON.stringify(body) ?? "").split('"')].filter((word) => word.length > 8);

/** What an answer tells beside what its request said. */
const toldBeyond = (answer: Answer, request: Parameters<typeof namedBy>[0]): string =>
  namedBy(request).reduce(
    (text, word, n) => text.replaceAll(word, `<${n}>`),
    JSON.stringify(told(answer)) + (answer.headers.get("location") ?? ""),
  );

/** Nothing of what somebody may not know is in an answer. */
function expectNothingOf(secrets: string[], answer: Answer, request: Parameters<typeof namedBy>[0]): void {
  const text = toldBeyond(answer, request);
  expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
}

const keyOf = ({ method, path }: { method: string; path: string }): string => `${method} ${path}`;
const [methodOf, isVersioned] = [
  (key: string) => key.split(" ")[0] as string,
  (key: string) => ROUTES.find((route) => keyOf(route) === key)?.versioned === true,
];

test("every route is tried, and no other", () => {
  expect(Object.keys(TRIED).sort()).toEqual(ROUTES.map(keyOf).sort());
});

describe.each(["stranger", "former", "viewer"] as const)("a %s", (who) => {
  test.each(Object.keys(TRIED))("by %s neither reads, changes nor learns what is others'", async (key) => {
    const attempts = TRIED[key] as Attempts;
    const theirs = who === "former" ? formers : ids;
    const nothing = absent();
    const secrets = [
      PRIVATE,
      ...[theirs.personal, theirs.session, theirs.token, owner.email],
      ...(who === "viewer" ? [] : [SHARED, theirs.project, theirs.slug, theirs.task, theirs.comment]),
      ...[theirs.deletedProject, theirs.lostTask],
      ...(who === "viewer" ? [] : [theirs.deletedTask]),
      // A task shows members its category, whosever that is.
      ...(who === "viewer" ? [] : [theirs.category]),
    ];
    // Memberships and an assignment told them to the caller; a stranger never had one.
    const known =
      who === "stranger" ? [] : [SHARED, theirs.project, theirs.slug, theirs.deletedProject, theirs.task];
    const own = owns[who];
    const method = methodOf(key);
    const sees = who === "viewer" ? "viewer" : "stranger";
    // A viewer may know that it is there, or that the task is there and what the path names next is not.
    const maySee = ({ viewer, stranger, operation = { viewer, stranger }, path }: Attempt) =>
      who === "viewer" &&
      (operation.viewer !== operation.stranger ||
        ["/tasks?", `/tasks/${theirs.task}/`].some((start) => path.startsWith(start)));
    const pairs = attempts(theirs, own).map(
      (attempt, n) => [attempt, attempts(nothing, own)[n] as Attempt] as const,
    );
    for (const [attempt, control] of pairs) {
      const expected = attempt[sees];
      const passerBy = attempt.passerBy === true ? await node.api.person() : null;
      const api = attempt.anyone === true ? node.api : (passerBy ?? people[who]).api;
      const before = await snapshot(passerBy?.id);
      // Who may not know a thing learns nothing of its version either.
      const isPlain = !isVersioned(key) || attempt.people === true || expected === 200;
      const tags: Record<string, string>[] = isPlain ? [] : [{ "If-Match": '"1"' }, { "If-None-Match": "*" }];
      for (const headers of [{}, ...tags]) {
        const send = ({ path, body }: Attempt) => api.request(method, path, body, headers);
        const answer = await send(attempt);
        expect([attempt, headers, answer.status]).toEqual([attempt, headers, expected]);
        expectNothingOf(
          secrets.filter((secret) => attempt.remembers !== true || !known.includes(secret)),
          answer,
          attempt,
        );
        if (attempt.operation !== undefined)
          expect(answer.body.results.at(-1).status).toBe(attempt.operation[sees]);
        if (attempt.people === true || passerBy !== null || maySee(attempt)) continue;
        expect(toldBeyond(answer, attempt)).toEqual(toldBeyond(await send(control), control));
      }
      expect(await snapshot(passerBy?.id)).toEqual(before);
    }
  });
});

describe("a personal token of scope read", () => {
  test.each(Object.keys(TRIED))("changes nothing by %s", async (key) => {
    const method = methodOf(key);
    const isReading =
      method === "GET" || ROUTES.some((route) => route.reads === true && keyOf(route) === key);
    const api = new Api(node.url, readToken);
    const before = await snapshot();
    for (const { path, body, anyone, stranger } of TRIED[key]!(ids, owns.owner)) {
      if (anyone === true) continue;
      const { status } = await api.request(method, path, body);
      // What the request can't mean is said first. All else would be the owner's own to do.
      const refused = stranger === 422 ? [403, 422] : [403];
      const isPersonal = /^\/auth\/(sessions|tokens)/.test(path);
      const expected = isReading && !isPersonal ? [200, 404, 422] : refused;
      expect([path, status]).toEqual([path, expected.find((one) => one === status) ?? expected]);
    }
    expect(await snapshot()).toEqual(before);
  });

  test("nor by any write that its owner may do", async () => {
    const api = new Api(node.url, readToken);
    const before = await snapshot();
    const { task: pending, deletedTask: deleted, deletedProject } = ids;
    const keyed = Object.values(WRITES).map((write) =>
      write({ pending, deleted, deletedProject, newcomer: people.former.id }),
    );
    const personal: [string, object][] = [
      ["/auth/tokens", { name: "x", scope: "write" }],
      ["/auth/password/change", { current_password: PASSWORD, password: "another horse battery" }],
    ];
    for (const [path, body] of [...keyed, ...personal])
      expect([path, (await api.post(path, body)).status]).toEqual([path, 403]);
    expect(await snapshot()).toEqual(before);
  });
});

describe("a cursor of somebody else's", () => {
  /** The lists, as their owner asks for them. */
  const LISTS: Record<string, (ids: Ids) => string> = {
    "GET /auth/sessions": () => "/auth/sessions",
    "GET /auth/tokens": () => "/auth/tokens",
    "GET /users": () => "/users",
    "GET /projects": () => "/projects",
    "GET /projects/:project/members": ({ project }) => `/projects/${project}/members`,
    "GET /projects/:project/tasks": ({ project }) => `/projects/${project}/tasks`,
    "GET /tasks": () => "/tasks",
    "GET /tasks/:id/comments": ({ task }) => `/tasks/${task}/comments`,
    "GET /categories": () => "/categories",
  };

  test("is tried on every list", () => {
    // The log has numbers of its own, and no cursor.
    const lists = ROUTES.filter(({ list, path }) => list === true && !path.endsWith("/events")).map(keyOf);
    expect(Object.keys(LISTS).sort()).toEqual(lists.sort());
  });

  test.each(Object.keys(LISTS))("leads nowhere in %s", async (key) => {
    const path = LISTS[key]!(ids);
    if (key === "GET /auth/sessions")
      await node.api.must("POST", "/auth/login", {
        login: owner.username,
        password: PASSWORD,
      });
    if (key === "GET /projects") await owner.api.must("POST", "/projects", { name: "One more" });
    const { next_cursor } = await owner.api.must("GET", `${path}?limit=1`);
    expect(next_cursor).toEqual(expect.any(String));
    const next = `${path}?limit=1&cursor=${next_cursor}`;
    expect((await owner.api.get(next)).status).toBe(200);
    for (const { api } of Object.values(people)) {
      const answer = await api.get(next);
      expect([answer.status, answer.body.errors]).toEqual([
        422,
        [expect.objectContaining({ pointer: "?cursor" })],
      ]);
      expect(told(answer)).toEqual(told(await api.get(`${LISTS[key]!(absent())}?limit=1&cursor=AAAA`)));
    }
  });

  test("of one list leads nowhere in another", async () => {
    const { next_cursor } = await owner.api.must("GET", "/tasks?limit=1");
    for (const other of [`/projects/${ids.project}/tasks?limit=1`, "/tasks?sort=title&limit=1", "/projects?"])
      expect((await owner.api.get(`${other}&cursor=${next_cursor}`)).status).toBe(422);
  });
});

describe("an idempotency key of somebody else's", () => {
  test("is tried on every write that takes one", () => {
    expect(Object.keys(WRITES).sort()).toEqual(
      ROUTES.filter(({ idempotent }) => idempotent)
        .map(keyOf)
        .sort(),
    );
  });

  test.each(Object.keys(WRITES))("is another key in %s", async (key) => {
    const { newcomer, deleted, deletedProject, pending } = {
      deletedProject: await owner.api.must("POST", "/projects", { name: PRIVATE }),
      newcomer: (await node.api.person("newcomer")).id,
      deleted: await owner.api.must("POST", `/projects/${ids.project}/tasks`, { title: PRIVATE }),
      pending: await owner.api.must("POST", `/projects/${ids.project}/tasks`, { title: PRIVATE }),
    };
    await owner.api.must("DELETE", `/tasks/${deleted.id}`);
    await owner.api.must("DELETE", `/projects/${deletedProject.id}`);
    const [path, body, allowed] = WRITES[key]!({
      newcomer,
      deleted: deleted.id,
      deletedProject: deletedProject.id,
      pending: pending.id,
    });
    const headers = { "Idempotency-Key": newId() };
    const first = await owner.api.post(path, body, headers);
    expect([200, 201]).toContain(first.status);
    for (const who of ["stranger", "former", "viewer"] as const) {
      const answer = await people[who].api.post(path, body, headers);
      // To restore what is no longer deleted is 404 for a viewer too.
      const refusal = who === "viewer" && !key.endsWith("/restore") ? 403 : 404;
      expect([who, answer.status]).toEqual([who, allowed ?? refusal]);
      expect(answer.headers.get("idempotency-replayed")).toBeNull();
      if (allowed !== undefined) expect(answer.body).not.toEqual(first.body);
      else expectNothingOf([PRIVATE, first.body.id ?? newcomer], answer, { path, body });
    }
    const again = await owner.api.post(path, body, headers);
    expect([again.status, again.headers.get("idempotency-replayed"), again.body]).toEqual([
      first.status,
      "true",
      first.body,
    ]);
  });
});

describe("what was read a moment ago is gone with the right to read it", () => {
  /** How somebody who was in a project and had a personal task assigned loses sight of both. */
  const LOSSES: Record<string, (project: string, task: string, guest: Person) => Promise<unknown>> = {
    "by being removed": (project, task, guest) =>
      Promise.all([
        owner.api.must("DELETE", `/projects/${project}/members/${guest.id}`),
        owner.api.must("POST", `/tasks/${task}/assign`, { assigned_to: null }),
      ]),
    "by leaving": (project, task, guest) =>
      Promise.all([
        guest.api.must("DELETE", `/projects/${project}/members/${guest.id}`),
        owner.api.must("PATCH", `/tasks/${task}`, { assigned_to: owner.id }),
      ]),
    "by the end of the project": (project, task) =>
      Promise.all([
        owner.api.must("DELETE", `/projects/${project}`),
        owner.api.must("DELETE", `/tasks/${task}`),
      ]),
  };

  test.each(Object.keys(LOSSES))("%s", async (how) => {
    const guest = await node.api.person("guest");
    const project = await owner.api.must("POST", "/projects", { name: `Brief ${SHARED}` });
    await owner.api.must("POST", `/projects/${project.id}/members`, { user_id: guest.id, role: "member" });
    const task = await owner.api.must("POST", `/projects/${project.id}/tasks`, { title: SHARED });
    const alone = await owner.api.must("POST", "/tasks", { title: SHARED, assigned_to: guest.id });
    await owner.api.must("POST", `/tasks/${task.id}/comments`, { body: SHARED });
    const of = [project.id, project.slug].flatMap((reference: string) =>
      ["", "/tasks", `/tasks?q=${SHARED}`, "/members", "/events", "/snapshot"].map(
        (rest) => `/projects/${reference}${rest}`,
      ),
    );
    const single = [...of, `/tasks/${task.id}`, `/tasks/${task.id}/comments`, `/tasks/${alone.id}`];
    const lists = [
      "/tasks",
      `/tasks?q=${SHARED}`,
      "/tasks?assigned_to=me",
      "/projects",
      `/projects?q=${SHARED}`,
    ];
    lists.push(`/tasks?project_id=${project.id}`);
    for (const path of [...single, ...single, ...lists, ...lists]) {
      const { status, body } = await guest.api.get(path);
      expect([path, status, JSON.stringify(body).includes(SHARED)]).toEqual([
        path,
        200,
        !/members|comments/.test(path) || path.endsWith("comments"),
      ]);
    }
    await LOSSES[how]!(project.id, alone.id, guest);
    for (const path of single) expect([path, (await guest.api.get(path)).status]).toEqual([path, 404]);
    for (const path of lists) {
      const answer = await guest.api.get(path);
      expect([path, answer.body.items, answer.body.total]).toEqual([path, [], 0]);
    }
  });
});
