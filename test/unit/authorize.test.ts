import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Context, ServiceBroker, type ServiceSchema } from "moleculer";
import type { ProblemCode } from "../../core/errors.ts";
import {
  type Actor,
  type Auth,
  type Meta,
  remote,
  type Role,
  service,
  type ServiceContract,
} from "../../core/kit.ts";
import { authorize } from "../../middlewares/authorize.ts";
import { actorOf, idOf, problem } from "./fixtures.ts";

type Whoami = { params: Record<never, never>; result: Actor | null };
interface DoorContract extends ServiceContract {
  name: "door";
  actions: {
    public: Whoami;
    internal: Whoami;
    user: Whoami;
    session: Whoami;
    /** Like `user`, and changes nothing. */
    reading: Whoami;
    /** Like `user`, and keeps to the projects of the caller's token. */
    bound: Whoami;
    manager: Whoami;
    admin: Whoami;
    /** Calls somebody who meddles, then asks who is calling, here and further on. */
    through: { params: Record<never, never>; result: { here: Actor; further: Actor | null } };
    meddle: { params: Record<never, never>; result: void };
    frozen: { params: Record<never, never>; result: boolean };
  };
}
const door = remote<DoorContract>("door");

const docs = { summary: "Say who asks", answer: null };
const whoIs = (ctx: { locals: { actor: Actor | null } }) => ctx.locals.actor;
const internally = () => ({ auth: "internal" as const, rules: {}, handler: whoIs });
const whoami = <A extends Auth>(auth: A) => ({
  auth,
  docs,
  rules: {},
  handler: whoIs,
});
const schema = service<DoorContract>({
  name: "door",
  actions: {
    public: whoami("public"),
    internal: internally(),
    user: whoami("user"),
    session: whoami("session"),
    reading: { ...whoami("user"), safe: true },
    bound: { ...whoami("user"), projectBound: true },
    manager: whoami("manager"),
    admin: whoami("admin"),
    through: {
      auth: "user",
      docs,
      rules: {},
      async handler(ctx) {
        await door.call(ctx, "meddle", {});
        return { here: ctx.locals.actor, further: await door.call(ctx, "public", {}) };
      },
    },
    meddle: {
      auth: "internal",
      rules: {},
      handler(ctx) {
        ctx.meta.actor = actorOf("admin", idOf("9"));
      },
    },
    frozen: {
      auth: "user",
      docs,
      rules: {},
      handler: (ctx) =>
        Object.isFrozen(ctx.locals.actor) && !Reflect.set(ctx.locals.actor as object, "role", "admin"),
    },
  },
});

const newBroker = (nodeID: string) =>
  new ServiceBroker({ nodeID, logger: false, middlewares: [authorize], skipProcessEventRegistration: true });
const broker = newBroker("authorize");
const ask = <Result = unknown>(action: string, actor?: Partial<Actor> | null) => {
  const caller: Pick<ServiceBroker, "call"> = broker;
  return caller.call<Result, object>(`door.${action}`, {}, { meta: { actor } });
};

beforeAll(async () => {
  broker.createService(schema);
  await broker.start();
});
afterAll(() => broker.stop());

describe("an action's auth", () => {
  type Asker = "nobody" | Role;
  const ACTORS = {
    nobody: null,
    user: actorOf("user"),
    manager: actorOf("manager"),
    admin: actorOf("admin"),
  };
  const ANSWERS: Record<Auth, Record<Asker, "in" | ProblemCode>> = {
    public: { nobody: "in", user: "in", manager: "in", admin: "in" },
    internal: { nobody: "in", user: "in", manager: "in", admin: "in" },
    user: { nobody: "unauthenticated", user: "in", manager: "in", admin: "in" },
    session: { nobody: "unauthenticated", user: "in", manager: "in", admin: "in" },
    manager: { nobody: "unauthenticated", user: "forbidden", manager: "in", admin: "in" },
    admin: { nobody: "unauthenticated", user: "forbidden", manager: "forbidden", admin: "in" },
  };
  const cases = Object.entries(ANSWERS).flatMap(([auth, row]) =>
    Object.entries(row).map(([asker, answer]) => ({ auth, asker: asker as Asker, answer })),
  );

  test.each(cases)("$auth answers $asker: $answer", async ({ auth, asker, answer }) => {
    const asking = ask(auth, ACTORS[asker]);
    if (answer === "in") await expect(asking).resolves.toEqual(ACTORS[asker]);
    else await expect(asking).rejects.toEqual(problem(answer));
  });

  test.each(["user", "manager", "admin"])(
    "%s answers a call without any meta: unauthenticated",
    async (auth) => {
      await expect(door.call(broker, auth as Role, {})).rejects.toEqual(problem("unauthenticated"));
    },
  );

  test.each([{ role: "root" }, { role: undefined }, { role: "toString" }, { role: null }])(
    "user refuses somebody with %j: closed by default",
    async ({ role }) => {
      const asking = ask("user", { ...actorOf("user"), role: role as Role });
      await expect(asking).rejects.toMatchObject({
        type: expect.stringMatching(/^(unauthenticated|forbidden)$/) as unknown,
      });
    },
  );
});

describe("a personal token", () => {
  const machine = (scope: "read" | "write") => ({ ...actorOf("admin"), scope });

  test.each([
    ["read", "reading", "in"],
    ["read", "user", "forbidden"],
    ["read", "admin", "forbidden"],
    ["read", "session", "forbidden"],
    ["write", "reading", "in"],
    ["write", "user", "in"],
    ["write", "session", "forbidden"],
  ] as const)("of scope %s asks for %s: %s", async (scope, action, answer) => {
    const asking = ask(action, machine(scope));
    if (answer === "in") await expect(asking).resolves.toEqual(machine(scope));
    else await expect(asking).rejects.toMatchObject({ type: answer });
  });

  test("that is limited to projects is refused by an action that does not say that it keeps to them", async () => {
    const limited = { ...machine("write"), projects: [idOf("7")] };
    await expect(ask("user", limited)).rejects.toEqual(problem("forbidden"));
    await expect(ask("bound", limited)).resolves.toEqual(limited);
  });
});

describe("the actor", () => {
  test("is frozen, and not the caller's own object", async () => {
    const actor = { ...actorOf("user") };
    await expect(ask("frozen", actor)).resolves.toBe(true);
    expect(Object.isFrozen(actor)).toBe(false);
  });

  test("stays who it was when somebody downstream changes meta, here", async () => {
    const { here } = await ask<{ here: Actor }>("through", actorOf("user"));
    expect(here).toEqual(actorOf("user"));
  });

  test("stays who it was when somebody downstream changes meta, in the next call", async () => {
    const { further } = await ask<{ further: Actor }>("through", actorOf("user"));
    expect(further).toEqual(actorOf("user"));
  });
});

describe("an action that does not say who may call it", () => {
  const start = async (action: object) => {
    const other = newBroker("authorize-other");
    try {
      other.createService({ name: "open", actions: { door: action } } as ServiceSchema);
      await other.start();
      const caller: Pick<ServiceBroker, "call"> = other;
      return await caller.call("open.door", {});
    } finally {
      await other.stop();
    }
  };
  const handler = (ctx: Context<unknown, Meta>) => ctx.locals.actor as unknown;

  test.each([{ handler }, { handler, auth: "" }, { handler, auth: "toString" }, { handler, auth: null }])(
    "(%j) keeps its service from starting",
    async (action) => {
      await expect(start(action)).rejects.toThrow(/open\.door has no auth/);
    },
  );

  test("starts once it says so", async () => {
    await expect(start({ handler, auth: "public" })).resolves.toBeNull();
  });

  test("may be private: nobody outside its service can call it", async () => {
    await expect(start({ handler, visibility: "private" })).rejects.toMatchObject({
      name: "ServiceNotFoundError",
    });
  });
});
