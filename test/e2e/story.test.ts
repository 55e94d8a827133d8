/** A day with the API, told by the client that its OpenAPI document makes: what does not follow from it doesn't compile. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { PASSWORD } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { type Client, connect, ok, refused, tagged } from "./client.ts";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node?.stop());

/** Registers somebody and logs them in. */
async function join(username: string): Promise<{ id: string; client: Client }> {
  const nobody = connect(node.url);
  const { id } = await ok(
    nobody.POST("/auth/register", {
      body: { email: `${username}@example.com`, username, password: PASSWORD, first_name: "Ada" },
    }),
  );
  const login = await ok(nobody.POST("/auth/login", { body: { login: username, password: PASSWORD } }));
  expect(login.user.id).toBe(id);
  return { id, client: connect(node.url, login.access_token) };
}

test("a project from its first day to its last", async () => {
  const [ada, ben, eve] = [await join("ada"), await join("ben"), await join("eve")];
  expect(await refused(connect(node.url).GET("/auth/me"))).toBe("401 unauthenticated");

  // A project, and who is in it.
  const project = await ok(
    ada.client.POST("/projects", { body: { name: "Analytical Engine", description: "A machine" } }),
  );
  const inProject = { path: { project: project.slug } };
  expect(await refused(ben.client.GET("/projects/{project}", { params: inProject }))).toBe("404 not-found");
  await ok(
    ada.client.POST("/projects/{project}/members", {
      params: inProject,
      body: { user_id: ben.id, role: "member" },
    }),
  );
  const members = await ok(ben.client.GET("/projects/{project}/members", { params: inProject }));
  expect(members.items.map(({ username, role }) => [username, role])).toEqual([
    ["ada", "owner"],
    ["ben", "member"],
  ]);
  const found = await ok(ada.client.GET("/users", { params: { query: { q: "be" } } }));
  expect(found.items.map(({ id }) => id)).toEqual([ben.id]);

  // A task, made once however often it is sent.
  const category = await ok(
    ada.client.POST("/categories", { body: { name: "Mathematics", color: "#1e90ff" } }),
  );
  const create = (title: string, key = randomUUID()) =>
    ada.client.POST("/projects/{project}/tasks", {
      params: { ...inProject, header: { "Idempotency-Key": key } },
      body: { title, priority: "high", category_id: category.id, due_date: "2030-01-01T00:00:00Z" },
    });
  const key = randomUUID();
  const task = await ok(create("Write Note G", key));
  const again = await create("Write Note G", key);
  expect([again.data?.id, again.response.headers.get("idempotency-replayed")]).toEqual([task.id, "true"]);
  expect(await refused(create("Another", key))).toBe("422 idempotency-key-reused");

  // Read, and changed by who has seen it as it is.
  const params = { path: { id: task.id } };
  const { body: detail, etag } = await tagged(ben.client.GET("/tasks/{id}", { params }));
  expect([detail.project?.slug, detail.creator.username, detail.category?.name]).toEqual([
    project.slug,
    "ada",
    "Mathematics",
  ]);
  const unchanged = await ben.client.GET("/tasks/{id}", {
    params: { ...params, header: { "If-None-Match": etag } },
  });
  expect(unchanged.response.status).toBe(304);
  const patch = (title: string) =>
    ben.client.PATCH("/tasks/{id}", { params: { ...params, header: { "If-Match": etag } }, body: { title } });
  expect((await ok(patch("Write the whole of Note G"))).version).toBe(task.version + 1);
  expect(await refused(patch("Too late"))).toBe("412 precondition-failed");

  // Assigned, worked on, talked about, done.
  expect(
    await refused(ben.client.POST("/tasks/{id}/assign", { params, body: { assigned_to: ben.id } })),
  ).toBe("403 forbidden");
  expect(
    await refused(ada.client.POST("/tasks/{id}/assign", { params, body: { assigned_to: eve.id } })),
  ).toBe("422 validation-failed");
  await ok(ada.client.POST("/tasks/{id}/assign", { params, body: { assigned_to: ben.id } }));
  const claim = () => ben.client.POST("/tasks/{id}/transitions", { params, body: { to: "in_progress" } });
  await ok(claim());
  expect(await refused(claim())).toBe("409 illegal-transition");
  const comment = await ok(
    ben.client.POST("/tasks/{id}/comments", { params, body: { body: "Bernoulli numbers are done." } }),
  );
  const onComment = { path: { id: task.id, comment_id: comment.id } };
  const edited = await ok(
    ben.client.PATCH("/tasks/{id}/comments/{comment_id}", { params: onComment, body: { body: "All done." } }),
  );
  expect(edited.version).toBe(2);
  expect((await ok(ada.client.GET("/tasks/{id}/comments", { params }))).items).toEqual([edited]);
  await ok(ada.client.DELETE("/tasks/{id}/comments/{comment_id}", { params: onComment }));
  const done = await ok(ben.client.POST("/tasks/{id}/transitions", { params, body: { to: "completed" } }));
  expect(done.completed_at).not.toBeNull();
  expect(
    (
      await ok(
        ada.client.PATCH("/categories/{id}", {
          params: { path: { id: category.id } },
          body: { name: "Maths" },
        }),
      )
    ).name,
  ).toBe("Maths");

  // Many at once, or none.
  const bulk = await ok(
    ada.client.POST("/tasks/bulk", {
      body: {
        operations: [
          ...Array.from({ length: 5 }, (_, n) => ({
            op: "create" as const,
            project_id: project.id,
            title: `Card ${n}`,
          })),
          { op: "update", id: task.id, priority: "low" },
        ],
      },
    }),
  );
  expect(bulk.results.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201, 200]);
  expect(
    await refused(
      ada.client.POST("/tasks/bulk", {
        body: {
          operations: [
            { op: "delete", id: task.id },
            { op: "transition", id: task.id, to: "pending" },
          ],
        },
      }),
    ),
  ).toBe("422 bulk-failed");

  // Lists: a page after the other, each task once.
  const titles: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: { items: { title: string }[]; next_cursor: string | null } = await ok(
      ben.client.GET("/projects/{project}/tasks", {
        params: { ...inProject, query: { limit: 4, sort: ["title"], ...(cursor !== "" && { cursor }) } },
      }),
    );
    titles.push(...page.items.map(({ title }) => title));
    cursor = page.next_cursor;
  }
  expect(titles).toEqual(["Card 0", "Card 1", "Card 2", "Card 3", "Card 4", "Write the whole of Note G"]);
  const mine = await ok(
    ben.client.GET("/tasks", {
      params: {
        query: { assigned_to: "me", status: ["completed", "archived"], sort: ["-created_at", "priority"] },
      },
    }),
  );
  expect([mine.total, mine.items[0]?.id]).toEqual([1, task.id]);
  expect((await ok(ben.client.GET("/tasks", { params: { query: { q: "note" } } }))).items).toHaveLength(1);

  // Deleted and restored, and replaced as a whole.
  await ok(ada.client.DELETE("/tasks/{id}", { params }));
  expect(await refused(ada.client.DELETE("/tasks/{id}", { params }))).toBe("404 not-found");
  await ok(ada.client.POST("/tasks/{id}/restore", { params }));
  const replaced = await ok(
    ada.client.PUT("/tasks/{id}", { params, body: { title: "Note G", status: "completed" } }),
  );
  expect([replaced.description, replaced.category_id, replaced.assigned_to]).toEqual([null, null, null]);

  // What happened, in order and without a hole.
  const events = await ok(
    ben.client.GET("/projects/{project}/events", {
      params: { ...inProject, query: { after: "0", limit: 100 } },
    }),
  );
  expect(events.items.map(({ seq }) => seq)).toEqual(Array.from({ length: events.head }, (_, n) => n + 1));
  expect(events.items.map(({ type }) => type)).toEqual(
    expect.arrayContaining([
      "member_added",
      "task_created",
      "comment_created",
      "task_completed",
      "task_restored",
    ]),
  );

  // Archived it takes no writes; deleted it is gone; restored it is back.
  const setStatus = (status: "active" | "archived") =>
    ok(ada.client.PATCH("/projects/{project}", { params: inProject, body: { status } }));
  await setStatus("archived");
  expect(await refused(create("Too late"))).toBe("409 project-archived");
  await setStatus("active");
  await ok(ada.client.DELETE("/projects/{project}", { params: inProject }));
  expect(await refused(ben.client.GET("/projects/{project}", { params: inProject }))).toBe("404 not-found");
  const restored = await ok(
    ada.client.POST("/projects/{project}/restore", { params: { path: { project: project.id } } }),
  );
  expect([restored.status, restored.task_counts.completed]).toEqual(["active", 1]);
  await ok(ada.client.POST("/auth/logout-all"));
  expect(await refused(ada.client.GET("/auth/me"))).toBe("401 invalid-token");
});
