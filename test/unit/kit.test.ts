import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { type Context, Errors, type Service, ServiceBroker, type ServiceSchema } from "moleculer";
import { loadConfig } from "../../core/config.ts";
import { Problem } from "../../core/errors.ts";
import { broadcast, hint, on, remote, service, type ServiceContract } from "../../core/kit.ts";
import { brokerOptions } from "../../moleculer.config.ts";
import { problem } from "./fixtures.ts";

interface ThingsContract extends ServiceContract {
  name: "things";
  actions: {
    get: { params: { id: string }; result: string };
    put: { params: { id: string; note?: string }; result: string };
    count: { params: Record<never, never>; result: number };
  };
}
const things = remote<ThingsContract>("things");

/** Where each action's handler sends its call. */
const handlers = {
  get: jest.fn<(id: string) => string | Promise<string>>(),
  put: jest.fn<(id: string) => string | Promise<string>>(),
};
afterEach(() => {
  handlers.get.mockReset();
  handlers.put.mockReset();
});

const schema = service<ThingsContract>({
  name: "things",
  settings: { size: 3 },
  actions: {
    get: {
      auth: "public",
      docs: { summary: "Answer", answer: null },
      safe: true,
      rules: { id: "string" },
      handler: (ctx) => handlers.get(ctx.params.id),
    },
    put: {
      auth: "public",
      docs: { summary: "Answer", answer: null },
      rules: { id: "string", note: { type: "string", optional: true } },
      handler: (ctx) => handlers.put(ctx.params.id),
    },
    count: { auth: "internal", rules: {}, handler: () => 3 },
  },
});
const actions = schema.actions as Record<string, object>;
const nodeConfig = loadConfig({ NODE_ENV: "test" });
const newBroker = (nodeID: string, transporter: "Fake" | null = null) =>
  new ServiceBroker({ ...brokerOptions(nodeConfig, false), nodeID, transporter });

describe("service() makes a schema", () => {
  test("of the same name and settings", () => {
    expect(schema).toMatchObject({ name: "things", settings: { size: 3 } });
  });

  test("whose internal actions are hidden from the gateway, and only those", () => {
    expect(actions).toMatchObject({
      get: { auth: "public", visibility: "published" },
      put: { auth: "public", visibility: "published" },
      count: { auth: "internal", visibility: "public" },
    });
  });

  test("whose actions are tried again only where they say that they change nothing", () => {
    expect(actions).toMatchObject({
      get: { retryPolicy: { enabled: true } },
      put: { retryPolicy: { enabled: false } },
      count: { retryPolicy: { enabled: false } },
    });
  });

  test("whose rules are strict", () => {
    expect(actions).toMatchObject({
      get: { params: { $$strict: true, id: { type: "string", nullable: false } } },
      count: { params: { $$strict: true } },
    });
    expect(actions.get).not.toHaveProperty("rules");
  });
});

describe("on a broker", () => {
  const broker = newBroker("kit");
  beforeAll(async () => {
    broker.createService(schema);
    await broker.start();
  });
  afterAll(() => broker.stop());

  test("a call reaches its action and brings back its result", async () => {
    handlers.get.mockReturnValue("found");
    await expect(things.call(broker, "get", { id: "7" })).resolves.toBe("found");
    expect(handlers.get).toHaveBeenCalledWith("7");
  });

  test.each<[string, object, unknown]>([
    ["missing", {}, { field: "id", type: "required" }],
    ["wrong", { id: 7 }, { field: "id", type: "string" }],
    ["unknown", { id: "7", role: "admin" }, { type: "objectStrict", actual: "role" }],
  ])("a param that is %s is refused before the handler runs", async (_what, params, failure) => {
    await expect(things.call(broker, "get", params as { id: string })).rejects.toMatchObject({
      name: "ValidationError",
      data: [expect.objectContaining(failure as object)],
    });
    expect(handlers.get).not.toHaveBeenCalled();
  });

  const vanished = () =>
    Promise.reject(new Errors.RequestRejectedError({ action: "things", nodeID: "gone" }));

  test("a safe action whose node vanished is tried once more", async () => {
    handlers.get.mockImplementationOnce(vanished).mockReturnValue("found");
    await expect(things.call(broker, "get", { id: "7" })).resolves.toBe("found");
    expect(handlers.get).toHaveBeenCalledTimes(2);
  });

  test("any other action is not: it may have happened", async () => {
    handlers.put.mockImplementationOnce(vanished).mockReturnValue("done");
    await expect(things.call(broker, "put", { id: "7" })).rejects.toMatchObject({
      name: "RequestRejectedError",
    });
    expect(handlers.put).toHaveBeenCalledTimes(1);
  });

  test("a problem is an answer, and no reason to try again", async () => {
    handlers.get.mockRejectedValue(new Problem("not-found"));
    await expect(things.call(broker, "get", { id: "7" })).rejects.toEqual(problem("not-found"));
    expect(handlers.get).toHaveBeenCalledTimes(1);
  });
});

describe("hints", () => {
  const moved = hint<{ to: string }>("things.moved");

  /** What `on` made, called as Moleculer calls it. */
  function listener(handle: (payload: { to: string }) => void | Promise<void>) {
    const error = jest.fn();
    const self = { logger: { error } } as unknown as Service;
    const subscription = on(moved, handle)["things.moved"];
    return {
      error,
      hear: (to: string) =>
        subscription?.handler.call(self, {
          params: { to },
          meta: {},
          id: "1",
        } as unknown as Context<unknown>),
    };
  }

  test("a listener gets the payload, and its service as this", async () => {
    const seen: unknown[] = [];
    const subscription = on<{ to: string }, { name: string }>(moved, function ({ to }) {
      seen.push(this.name, to);
    })["things.moved"];
    const self = { name: "listening" } as unknown as Service;
    await subscription?.handler.call(self, {
      params: { to: "there" },
      meta: {},
      id: "1",
    } as unknown as Context<unknown>);
    expect(seen).toEqual(["listening", "there"]);
  });

  test.each<[string, () => void | Promise<void>]>([
    [
      "throws",
      () => {
        throw new Error("boom");
      },
    ],
    ["rejects", () => Promise.reject(new Error("boom"))],
  ])("a listener that %s is logged, and fails nobody", async (_what, handle) => {
    const { error, hear } = listener(handle);
    await expect(hear("there")).resolves.toBeUndefined();
    expect(error).toHaveBeenCalledWith(
      expect.stringContaining("things.moved"),
      expect.objectContaining({ message: "boom" }),
    );
  });

  test("nothing is logged of one that does its work", async () => {
    const { error, hear } = listener(() => {});
    await hear("there");
    expect(error).not.toHaveBeenCalled();
  });

  describe("between nodes", () => {
    const [here, there] = [newBroker("hints-here", "Fake"), newBroker("hints-there", "Fake")];
    const heard = Promise.withResolvers<unknown>();
    beforeAll(async () => {
      there.createService({
        ...schema,
        events: { ...on(moved, (payload) => heard.resolve(payload)) },
      } as ServiceSchema);
      // One after the other: two that start at once may miss each other's services until the next heartbeat.
      await there.start();
      await here.start();
      await here.waitForServices("things", 5000, 5);
    });
    afterAll(() => Promise.all([here.stop(), there.stop()]));

    test("a hint that is broadcast is heard", async () => {
      broadcast(here, moved, { to: "there" });
      await expect(heard.promise).resolves.toEqual({ to: "there" });
    });

    test("a problem keeps its code, status, detail and data on its way", async () => {
      const data = { errors: [{ pointer: "#/id", code: "odd", message: "Odd" }] };
      handlers.put.mockRejectedValue(new Problem("conflict", "Too odd", data));
      await expect(things.call(here, "put", { id: "7" })).rejects.toEqual(
        problem("conflict", { code: 409, message: "Too odd", data, retryable: false }),
      );
    });

    test("broadcast never throws, also when the payload can't be sent", () => {
      const circular = { to: "there", self: {} };
      circular.self = circular;
      expect(() => broadcast(here, moved, circular)).not.toThrow();
    });
  });

  test.each<[string, () => Promise<void>]>([
    ["rejects", () => Promise.reject(new Error("away"))],
    [
      "throws at once, as NATS' client does when it is closed or the payload is too large",
      () => {
        throw new Error("away");
      },
    ],
  ])("broadcast never throws but logs when the transport %s", async (_how, fail) => {
    const logged = Promise.withResolvers<unknown[]>();
    const failing = {
      logger: { warn: (...args: unknown[]) => logged.resolve(args) },
      broadcast: fail,
    } as unknown as ServiceBroker;
    expect(() => broadcast(failing, moved, { to: "there" })).not.toThrow();
    await expect(logged.promise).resolves.toEqual([
      expect.stringContaining("things.moved"),
      expect.objectContaining({ message: "away" }),
    ]);
  });
});
