/** A node refuses calls beyond its bound; those that a call of its own makes go on. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Context, type Middleware, ServiceBroker, type ServiceSchema } from "moleculer";
import { until } from "../../local/until.ts";
import { boundCalls } from "../../middlewares/bound-calls.ts";

const waiting: (() => void)[] = [];
const hold = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));

const node = new ServiceBroker({ logger: false, middlewares: [boundCalls(2) as unknown as Middleware] });
node.createService({
  name: "desk",
  actions: {
    hold: () => hold(),
    /** Waits, and then asks another action of the full node. */
    async ask(context: Context) {
      await hold();
      return context.call<string, object>("desk.answer", {});
    },
    answer: () => "answered",
    /** Has a bound of its own. */
    patient: { timeout: 10_000, handler: () => "waited" },
  },
} as ServiceSchema);
beforeAll(() => node.start());
afterAll(() => node.stop());

test("the node carries out what it has begun, refuses more, and takes calls again afterwards", async () => {
  const held = [node.call("desk.hold"), node.call("desk.ask")];
  expect(await until(() => waiting.length === 2, 1000)).toBe(true);
  await expect(node.call("desk.answer")).rejects.toMatchObject({
    type: "overloaded",
    code: 503,
    data: { headers: { "Retry-After": "1" } },
  });
  expect(await node.call("desk.patient")).toBe("waited");
  // Frees the one that asks; the other place stays taken, and a third is free for nobody but its own call.
  waiting[1]?.();
  expect(await held[1]).toBe("answered");
  expect(await node.call("desk.answer")).toBe("answered");
  waiting[0]?.();
  await held[0];
});
