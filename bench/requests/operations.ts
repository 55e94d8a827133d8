/** What `npm run bench` asks, and the data that it asks for: made through the API like everybody's. */
import pLimit from "p-limit";
import { clientOf, PASSWORD } from "../system.ts";
import type { Operation } from "./measure.ts";
import type { OperationName } from "./options.ts";

/** Users who ask, each by a connection of its own. All are members of all projects. */
const USERS = 16;
/** Requests at once while the data is made, and of operations that are much work each. */
const FEW = 4;
/** Operations of one bulk. */
const BULK = 100;
/** Tasks of the project that is listed, and of one page. */
const [LISTED, PAGE] = [1000, 20];
/** Projects that are written to, and the tasks in each of them that are changed. */
const [WRITTEN, CHANGED] = [16, 16];

const PRIORITIES = ["low", "medium", "high", "urgent"] as const;

interface Creation {
  op: "create";
  project_id: string;
  title: string;
  description?: string;
  priority: string;
  due_date: string;
}

/** A task like others: some have a description, and each priority has as many. */
const creation = (project_id: string, nth: number): Creation => ({
  op: "create",
  project_id,
  title: `Task ${nth}`,
  ...(nth % 3 === 0 && { description: "Noted in the weekly meeting." }),
  priority: PRIORITIES[nth % PRIORITIES.length] as string,
  due_date: "2030-05-01T12:00:00.000Z",
});

/**
 * Makes users, projects and tasks.
 * @param port of a server of Taskwire
 * @param readOnce how many tasks are read once each
 * @returns the tokens of the users, and the operations
 */
export async function prepare(
  port: number,
  readOnce: number,
): Promise<{ tokens: string[]; operations: Record<OperationName, Operation> }> {
  const client = clientOf(port);
  const some = pLimit(FEW);
  const times = <Result>(count: number, make: (nth: number) => Promise<Result>): Promise<Result[]> =>
    Promise.all(Array.from({ length: count }, (_, nth) => some(() => make(nth))));

  const names = Array.from({ length: USERS }, (_, nth) => `bench${nth}`);
  const [owner, ...others] = await times(USERS, (nth) => client.register(names[nth] as string));
  const { token } = owner as { token: string };
  const project = async (name: string): Promise<string> => {
    const { id } = await client.must<{ id: string }>("POST", "/projects", { token, body: { name } });
    await times(others.length, (nth) =>
      client.must("POST", `/projects/${id}/members`, {
        token,
        body: { user_id: others[nth]?.id, role: "member" },
      }),
    );
    return id;
  };
  /** @returns the ids of new tasks, in the order of `projects` */
  const tasks = async (projects: string[]): Promise<string[]> => {
    const bulks = await times(Math.ceil(projects.length / BULK), (nth) => {
      const from = nth * BULK;
      const operations = projects.slice(from, from + BULK).map((id, at) => creation(id, from + at));
      type Answer = { results: { task: { id: string } }[] };
      return client.must<Answer>("POST", "/tasks/bulk", { token, body: { operations } });
    });
    return bulks.flatMap(({ results }) => results.map(({ task }) => task.id));
  };
  const listed = await project("Listed");
  const read = await tasks(Array<string>(LISTED).fill(listed));
  const written: string[] = [];
  while (written.length < WRITTEN) written.push(await project(`Written ${written.length}`));
  const writtenAt = (nth: number): string => written[nth % WRITTEN] as string;
  const changed = await tasks(Array.from({ length: WRITTEN * CHANGED }, (_, nth) => writtenAt(nth)));
  const large = await project("Read once");
  const once = await tasks(Array<string>(readOnce).fill(large));

  const list = `/projects/${listed}/tasks?limit=${PAGE}`;
  // No cache has the second page of a list.
  const second = `${list}&offset=${PAGE}`;
  const bulk = { operations: Array.from({ length: BULK }, (_, nth) => creation("#project", nth)) };
  const operations: Record<OperationName, Omit<Operation, "name">> = {
    "list-cached": { method: "GET", paths: [list], items: PAGE },
    "list-uncached": { method: "GET", paths: [second], items: PAGE },
    filtered: { method: "GET", paths: [`${second}&status=pending&priority=high,urgent`], items: PAGE },
    searched: { method: "GET", paths: [`${second}&q=meeting`], items: PAGE },
    "get-cached": { method: "GET", paths: read.slice(0, USERS).map((id) => `/tasks/${id}`) },
    "get-uncached": { method: "GET", paths: once.map((id) => `/tasks/${id}`) },
    create: {
      method: "POST",
      paths: written.map((id) => `/projects/${id}/tasks`),
      bodies: ['{"title":"Created #"}'],
    },
    patch: {
      method: "PATCH",
      paths: changed.map((id) => `/tasks/${id}`),
      bodies: ['{"title":"Changed #"}'],
    },
    transition: {
      method: "POST",
      paths: changed.map((id) => `/tasks/${id}/transitions`),
      bodies: ['{"to":"in_progress"}', '{"to":"pending"}'],
    },
    // Each connection writes to a project of its own.
    bulk: {
      method: "POST",
      paths: ["/tasks/bulk"],
      bodies: written.slice(0, FEW).map((id) => JSON.stringify(bulk).replaceAll("#project", id)),
      connections: FEW,
    },
    login: {
      method: "POST",
      paths: ["/auth/login"],
      bodies: names.slice(0, FEW).map((login) => JSON.stringify({ login, password: PASSWORD })),
      connections: FEW,
    },
  };
  const named = Object.entries(operations).map(([name, operation]) => [name, { name, ...operation }]);
  const tokens = [owner, ...others].map((user) => (user as { token: string }).token);
  return { tokens, operations: Object.fromEntries(named) as Record<OperationName, Operation> };
}
