/**
 * task-store.ts behind moleculer-web and NATS, in two processes: the least that an API of these parts costs. `SERVICES`
 * says which of the two this process is. Moleculer's defaults, without its log.
 */
import type { IncomingMessage } from "node:http";
import process from "node:process";
import { type Context, ServiceBroker, type ServiceSchema } from "moleculer";
import ApiGateway from "moleculer-web";
import { loadConfig } from "../../core/config.ts";
import type { Actor } from "../../core/kit.ts";
import { natsOptions } from "../../core/nats-options.ts";
import { createGuard, openStore, type Params } from "./task-store.ts";

/** Who asks travels beside the params, and the status of the answer back. */
interface Meta {
  actor?: Actor;
  $statusCode?: number;
}

const config = loadConfig(process.env);

function gateway() {
  const actorOf = createGuard(config);
  return {
    name: "gateway",
    mixins: [ApiGateway as unknown as ServiceSchema],
    dependencies: ["tasks"],
    settings: {
      ip: "127.0.0.1",
      port: config.PORT,
      logRequest: null,
      logResponse: null,
      routes: [
        {
          path: "/",
          mappingPolicy: "restrict",
          mergeParams: true,
          bodyParsers: { json: true },
          aliases: {
            "GET projects/:id/tasks": "tasks.list",
            "POST projects/:id/tasks": "tasks.create",
            "POST tasks/bulk": "tasks.bulk",
            "GET tasks/:id": "tasks.get",
            "PATCH tasks/:id": "tasks.patch",
            "POST tasks/:id/transitions": "tasks.transition",
            "POST auth/login": "tasks.login",
          },
          onBeforeCall(ctx: Context<unknown, Meta>, _route: unknown, request: IncomingMessage) {
            if (request.url !== "/auth/login") ctx.meta.actor = actorOf(request.headers.authorization);
          },
        },
      ],
    },
  };
}

function tasks(): ServiceSchema {
  const store = openStore(config);
  type Call<Name extends keyof Params> = Context<Params[Name], Meta>;
  const actorOf = ({ meta }: Context<unknown, Meta>): Actor => meta.actor as Actor;
  return {
    name: "tasks",
    actions: {
      list: (ctx: Call<"list">) => store.list(actorOf(ctx), ctx.params),
      get: (ctx: Call<"get">) => store.get(actorOf(ctx), ctx.params),
      create(ctx: Call<"create">) {
        ctx.meta.$statusCode = 201;
        return store.create(actorOf(ctx), ctx.params);
      },
      patch: (ctx: Call<"patch">) => store.patch(actorOf(ctx), ctx.params),
      transition: (ctx: Call<"transition">) => store.transition(actorOf(ctx), ctx.params),
      bulk: (ctx: Call<"bulk">) => store.bulk(actorOf(ctx), ctx.params),
      login: (ctx: Call<"login">) => store.login(ctx.params),
    },
  };
}

const broker = new ServiceBroker({
  namespace: config.NAMESPACE,
  nodeID: config.SERVICES.join("-"),
  logger: false,
  transporter: { type: "NATS", options: natsOptions(config.NATS_URL) },
  skipProcessEventRegistration: true,
});
broker.createService(config.SERVICES.includes("tasks") ? tasks() : gateway());
await broker.start();
process.once("SIGTERM", () => process.exit());
process.once("disconnect", () => process.exit());
process.send?.("ready");
