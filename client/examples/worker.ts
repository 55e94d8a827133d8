/**
 * A worker: does each pending task of a project, and each new one. Any number of them can run: a transition is strict, so one
 * of them gets a task and the others are told that they were too late.
 *
 *     node worker.ts https://tasks.example.com <personal access token> <project id> <name>
 */
import { createClient, ProblemError, type Task, unwrap } from "@taskwire/client";

const [url, token, project, name = "worker"] = process.argv.slice(2);
if (url === undefined || token === undefined || project === undefined)
  throw new Error("worker.ts <url> <token> <project id> <name>");

const client = createClient({ url, token });
const board = client.project(project);
const seen = new Set<string>();

/** The work itself. */
const work = async ({ title }: Pick<Task, "title">): Promise<string> => `${title}: done by ${name}`;

async function take({ id, version }: Task): Promise<void> {
  const path = { id };
  try {
    // As it was when it was pending: one that another worker has completed meanwhile could be begun again.
    const header = { "If-Match": `"${version}"` };
    const task = await unwrap(
      client.rest.POST("/tasks/{id}/transitions", { params: { path, header }, body: { to: "in_progress" } }),
    );
    const result = await work(task);
    await unwrap(client.rest.POST("/tasks/{id}/comments", { params: { path }, body: { body: result } }));
    await unwrap(
      client.rest.POST("/tasks/{id}/transitions", { params: { path }, body: { to: "completed" } }),
    );
    console.log(result);
  } catch (error) {
    // Another worker has it. Anything else is for people to see.
    if (!(error instanceof ProblemError && [409, 412].includes(error.status))) console.error(error);
  }
}

board.subscribe(() => {
  for (const task of board.getSnapshot().columns.pending) {
    if (seen.has(task.id)) continue;
    seen.add(task.id);
    void take(task);
  }
});
await board.open();
console.log(`${name} is ready`);
process.once("SIGTERM", () => void client.close());
