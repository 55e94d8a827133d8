import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Person } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { TestSocket } from "../support/socket.ts";

let node: TestNode;
const sockets: TestSocket[] = [];
const connect = async (person: Person, auth: object = {}) => {
  const socket = await TestSocket.connect(node.url, { token: person.token, ...auth });
  sockets.push(socket);
  return socket;
};

beforeAll(async () => {
  node = await startTestNode();
});
afterAll(async () => {
  sockets.forEach((socket) => socket.close());
  await node?.stop();
});

describe("a task on its way from REST to the sockets", () => {
  test("members get created, assigned and completed once each, numbered without holes; a stranger gets none", async () => {
    const [ada, ben, eve] = await Promise.all(["ada", "ben", "eve"].map((name) => node.api.person(name)));
    const project = await ada!.api.must("POST", "/projects", { name: "Launch" });
    await ada!.api.must("POST", `/projects/${project.slug}/members`, { user_id: ben!.id, role: "member" });
    const clients = await Promise.all([connect(ada!), connect(ben!), connect(eve!)]);
    const stream = `project:${project.id}`;
    expect(clients[0]!.ready[stream]).toMatchObject({ seq: 2, recovered: false });

    const task = await ada!.api.must("POST", `/projects/${project.slug}/tasks`, { title: "Write it" });
    await ada!.api.must("POST", `/tasks/${task.id}/assign`, { assigned_to: ben!.id });
    await ben!.api.must("POST", `/tasks/${task.id}/transitions`, { to: "completed" });

    for (const client of clients.slice(0, 2)) {
      await client.waitFor(() => client.of(stream).length === 3);
      expect(client.of(stream).map(({ seq, type }) => [seq, type])).toEqual([
        [3, "task_created"],
        [4, "task_assigned"],
        [5, "task_completed"],
      ]);
    }
    expect(clients[1]!.of(`user:${ben!.id}`).map(({ type }) => type)).toEqual(["task_assigned"]);
    expect(clients[2]!.events).toEqual([]);
  });
});
