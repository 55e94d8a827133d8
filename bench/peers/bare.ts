/** task-store.ts served by fastify, in one process: the least that such an API costs in Node. */
import process from "node:process";
import { fastify } from "fastify";
import { loadConfig } from "../../core/config.ts";
import { createGuard, openStore, type Params } from "./task-store.ts";

const config = loadConfig(process.env);
const store = openStore(config);
const actorOf = createGuard(config);

const app = fastify();

type Id = { id: string };

app.get<{ Params: Id; Querystring: Omit<Params["list"], "id"> }>(
  "/projects/:id/tasks",
  ({ headers, params, query }) => store.list(actorOf(headers.authorization), { ...query, ...params }),
);
app.get<{ Params: Id }>("/tasks/:id", ({ headers, params }) =>
  store.get(actorOf(headers.authorization), params),
);
app.post<{ Params: Id; Body: Omit<Params["create"], "id"> }>(
  "/projects/:id/tasks",
  ({ headers, params, body }, reply) => {
    reply.code(201);
    return store.create(actorOf(headers.authorization), { ...body, ...params });
  },
);
app.patch<{ Params: Id; Body: Omit<Params["patch"], "id"> }>("/tasks/:id", ({ headers, params, body }) =>
  store.patch(actorOf(headers.authorization), { ...body, ...params }),
);
app.post<{ Params: Id; Body: Omit<Params["transition"], "id"> }>(
  "/tasks/:id/transitions",
  ({ headers, params, body }) => store.transition(actorOf(headers.authorization), { ...body, ...params }),
);
app.post<{ Body: Params["bulk"] }>("/tasks/bulk", ({ headers, body }) =>
  store.bulk(actorOf(headers.authorization), body),
);
app.post<{ Body: Params["login"] }>("/auth/login", ({ body }) => store.login(body));

await app.listen({ host: "127.0.0.1", port: config.PORT });
process.once("SIGTERM", () => process.exit());
process.once("disconnect", () => process.exit());
process.send?.("ready");
