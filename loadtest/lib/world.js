// What a test needs to exist: users who are logged in, and teams of them with a project each. A second run finds its
// users again, and makes new projects.
import { need, PASSWORD } from "./api.js";

/** @typedef {import("./api.js").User} User */
/** @typedef {{ id: string, tasks: string[] }} Project */
/** @typedef {{ users: User[], projects: Project[], teamSize: number }} World */

const AT_ONCE = 8;

/**
 * Runs `make` for 0 … count - 1, some at once.
 * @template Value
 * @param {number} count
 * @param {(nth: number) => Promise<Value>} make
 */
async function times(count, make) {
  /** @type {Value[]} */
  const made = [];
  let next = 0;
  async function work() {
    while (next < count) {
      const nth = next++;
      made[nth] = await make(nth);
    }
  }
  /** @type {Promise<void>[]} */
  const workers = [];
  for (let nth = 0; nth < AT_ONCE; nth++) workers.push(work());
  await Promise.all(workers);
  return made;
}

/**
 * @param {number} index
 * @returns {Promise<User>}
 */
async function user(index) {
  const username = `load-${index}`;
  const account = { email: `${username}@example.com`, username, password: PASSWORD };
  await need("POST /auth/register", "/auth/register", { index }, account, [201, 409]);
  const login = { login: username, password: PASSWORD };
  const answer = await need("POST /auth/login", "/auth/login", { index }, login);
  return { index, id: answer.user.id, username, token: answer.access_token, loggedInAt: Date.now() };
}

/**
 * The project of a team: its first user's, with the others as members.
 * @param {User[]} team
 * @param {number} tasks
 * @returns {Promise<Project>}
 */
async function project(team, tasks) {
  const [owner, ...members] = team;
  if (owner === undefined) throw new Error("a team needs a user");
  const { id } = await need("POST /projects", "/projects", owner, { name: `Load of ${owner.username}` });
  for (const { id: user_id } of members)
    await need("POST /projects/{project}/members", `/projects/${id}/members`, owner, {
      user_id,
      role: "member",
    });
  /** @type {object[]} */
  const operations = [];
  for (let nth = 0; nth < tasks; nth++)
    operations.push({
      op: "create",
      project_id: id,
      title: `Task ${nth}`,
      assigned_to: team[nth % team.length]?.id,
      description: "Noted in the weekly meeting.",
    });
  const { results } = await need("POST /tasks/bulk", "/tasks/bulk", owner, { operations });
  return { id, tasks: results.map((/** @type {{ task: { id: string } }} */ { task }) => task.id) };
}

/**
 * Makes users, and a project for each team of `teamSize` of them.
 * @param {{ users: number, teamSize: number, tasks: number }} size
 * @returns {Promise<World>}
 */
export async function makeWorld({ users: count, teamSize, tasks }) {
  const users = await times(count, user);
  const projects = await times(Math.ceil(count / teamSize), (nth) =>
    project(users.slice(nth * teamSize, (nth + 1) * teamSize), tasks),
  );
  return { users, projects, teamSize };
}

/**
 * The project of a user's team.
 * @param {World} world
 * @param {number} index of the user
 */
export function projectOf({ projects, teamSize }, index) {
  const found = projects[Math.floor(index / teamSize)];
  if (found === undefined) throw new Error(`user ${index} has no project`);
  return found;
}
