// What people do: 80 of 100 requests read, 20 write. Each virtual user is one user of the world.
import exec from "k6/execution";
import { call, PASSWORD } from "./api.js";
import { projectOf } from "./world.js";

/** @typedef {import("./api.js").User} User */
/** @typedef {import("./world.js").World} World */
/** @typedef {{ user: User, project: import("./world.js").Project }} Turn */

/** Access tokens live for 15 minutes. */
const LOGIN_AGAIN_MS = 10 * 60_000;

/**
 * Tasks that this virtual user has created and not completed.
 * @type {string[]}
 */
const created = [];
/**
 * The user as of the last login.
 * @type {User | null}
 */
let self = null;

/**
 * Logs a user in again.
 * @param {User} user
 * @returns {Promise<User>}
 */
export async function login(user) {
  const body = { login: user.username, password: PASSWORD };
  const response = await call("POST /auth/login", "/auth/login", { index: user.index }, body);
  if (response.status !== 200) return user;
  const { access_token } = /** @type {{ access_token: string }} */ (/** @type {unknown} */ (response.json()));
  return { ...user, token: access_token, loggedInAt: Date.now() };
}

/**
 * @template Item
 * @param {Item[]} items
 * @returns {Item}
 */
function anyOf(items) {
  return /** @type {Item} */ (items[Math.floor(Math.random() * items.length)]);
}

/** @param {Turn} turn */
async function create({ user, project }) {
  const path = `/projects/${project.id}/tasks`;
  const response = await call("POST /projects/{project}/tasks", path, user, {
    title: `Created ${Date.now()}`,
  });
  if (response.status !== 201) return;
  const { id } = /** @type {{ id: string }} */ (/** @type {unknown} */ (response.json()));
  created.push(id);
}

/** @param {Turn} turn */
async function complete(turn) {
  const id = created.shift();
  if (id === undefined) return create(turn);
  await call("POST /tasks/{id}/transitions", `/tasks/${id}/transitions`, turn.user, { to: "completed" });
}

/** @type {{ share: number, run: (turn: Turn) => Promise<unknown> }[]} */
const READS = [
  {
    share: 35,
    run: ({ user, project }) => call("GET /projects/{project}/tasks", `/projects/${project.id}/tasks`, user),
  },
  { share: 25, run: ({ user, project }) => call("GET /tasks/{id}", `/tasks/${anyOf(project.tasks)}`, user) },
  { share: 10, run: ({ user }) => call("GET /tasks", "/tasks?assigned_to=me", user) },
  { share: 10, run: ({ user, project }) => call("GET /projects/{project}", `/projects/${project.id}`, user) },
];
/** @type {typeof READS} */
const WRITES = [
  {
    share: 9,
    run: ({ user, project }) => {
      const body = { description: `Changed at ${Date.now()}` };
      return call("PATCH /tasks/{id}", `/tasks/${anyOf(project.tasks)}`, user, body);
    },
  },
  { share: 5, run: create },
  {
    share: 4,
    run: ({ user, project }) => {
      const path = `/tasks/${anyOf(project.tasks)}/comments`;
      return call("POST /tasks/{id}/comments", path, user, { body: "Done on staging." });
    },
  },
  { share: 2, run: complete },
];
const ALL = [...READS, ...WRITES];

/**
 * One request of this virtual user.
 * @param {World} world
 */
export async function act(world) {
  const index = (exec.vu.idInTest - 1) % world.users.length;
  let user = self ?? /** @type {User} */ (world.users[index]);
  if (Date.now() - user.loggedInAt > LOGIN_AGAIN_MS) user = await login(user);
  self = user;
  let draw = Math.random() * ALL.reduce((sum, { share }) => sum + share, 0);
  for (const { share, run } of ALL) {
    draw -= share;
    if (draw < 0) return run({ user, project: projectOf(world, index) });
  }
}

/**
 * Each of them once.
 * @param {World} world
 */
export async function actAll(world) {
  const index = (exec.vu.idInTest - 1) % world.users.length;
  const turn = { user: /** @type {User} */ (world.users[index]), project: projectOf(world, index) };
  for (const { run } of ALL) await run(turn);
}
