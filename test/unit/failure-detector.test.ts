import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { type Middleware, ServiceBroker } from "moleculer";
import { remote, service, type ServiceContract } from "../../core/kit.ts";
import { until } from "../../local/until.ts";
import { failureDetector } from "../../middlewares/failure-detector.ts";

/** As in failure-detector.ts. */
const SUSPECT_AFTER = 400;
const ANSWER_WITHIN = 600;
/** Real milliseconds until we give up waiting for what takes microtasks. */
const PATIENCE = 5000;

interface WorkerContract extends ServiceContract {
  name: "worker";
  actions: {
    read: { params: Record<never, never>; result: string };
    write: { params: Record<never, never>; result: string };
  };
}
const worker = remote<WorkerContract>("worker");

/** A call that a node has begun to serve, and answers when the test says so. */
interface Served {
  nodeID: string;
  answer: () => void;
}

let nodes: ServiceBroker[];
let here: ServiceBroker;
let served: Served[];

/** @param ready what the node's service waits for before it serves */
function newNode(nodeID: string, works: boolean, ready = Promise.resolve()): ServiceBroker {
  const node = new ServiceBroker({
    nodeID,
    transporter: "Fake",
    logger: false,
    retryPolicy: { enabled: false, retries: 1, delay: 50, maxDelay: 50, factor: 1 },
    middlewares: [failureDetector as unknown as Middleware],
    skipProcessEventRegistration: true,
  });
  const handler = () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    served.push({ nodeID, answer: () => resolve(nodeID) });
    return promise;
  };
  if (works)
    node.createService(
      service<WorkerContract>({
        name: "worker",
        started: () => ready,
        actions: {
          read: { auth: "public", docs: { summary: "Answer", answer: null }, safe: true, rules: {}, handler },
          write: { auth: "public", docs: { summary: "Answer", answer: null }, rules: {}, handler },
        },
      }),
    );
  return node;
}

/** Turns the clock until `work` is done: Moleculer waits half a second for its neighbours. */
async function turning(work: Promise<unknown>): Promise<void> {
  let done = false;
  const finished = work.finally(() => (done = true));
  while (!done) await jest.advanceTimersByTimeAsync(50);
  await finished;
}

beforeEach(async () => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "hrtime", "performance", "Date"] });
  served = [];
  nodes = [newNode("here", false), newNode("one", true), newNode("two", true)];
  here = nodes[0] as ServiceBroker;
  await turning(Promise.all(nodes.map((node) => node.start())));
  await turning(until(() => isUp("one") && isUp("two"), PATIENCE));
});
afterEach(async () => {
  jest.restoreAllMocks();
  await turning(Promise.all(nodes.map((node) => node.stop())));
  jest.useRealTimers();
});

/** Whether calls may go to a node. */
const isUp = (nodeID: string): boolean =>
  here.registry.getActionEndpoints("worker.write")?.hasNodeID(nodeID) ?? false;

/** The next call that some node serves. */
async function nextServed(): Promise<Served> {
  expect(await until(() => served.length > 0, PATIENCE)).toBe(true);
  return served.shift() as Served;
}

const silence = () => jest.spyOn(here, "ping").mockResolvedValue(null as never);

describe("a node that is silent for a moment", () => {
  test("is asked whether it lives, and kept when it answers; the call goes on", async () => {
    const ping = jest.spyOn(here, "ping");
    const calling = worker.call(here, "write", {});
    const { nodeID, answer } = await nextServed();
    await jest.advanceTimersByTimeAsync(SUSPECT_AFTER);
    expect(ping.mock.calls).toEqual([[nodeID, ANSWER_WITHIN]]);
    await expect(ping.mock.results[0]?.value).resolves.toMatchObject({ nodeID });
    await jest.advanceTimersByTimeAsync(ANSWER_WITHIN);
    expect(isUp(nodeID)).toBe(true);
    answer();
    await expect(calling).resolves.toBe(nodeID);
  });

  test("is asked again where this process stood still itself meanwhile, and kept when it answers", async () => {
    const ping = jest.spyOn(here, "ping").mockImplementationOnce(() => {
      jest.spyOn(performance, "now").mockReturnValueOnce(performance.now() + 1000);
      return Promise.resolve(null) as never;
    });
    const calling = worker.call(here, "write", {});
    const { nodeID, answer } = await nextServed();
    await jest.advanceTimersByTimeAsync(SUSPECT_AFTER);
    await jest.advanceTimersByTimeAsync(ANSWER_WITHIN);
    expect(ping).toHaveBeenCalledTimes(2);
    expect(isUp(nodeID)).toBe(true);
    answer();
    await expect(calling).resolves.toBe(nodeID);
  });

  test("is dropped when it does not answer: a write fails promptly, whatever becomes of it", async () => {
    silence();
    const refused = expect(worker.call(here, "write", {})).rejects.toMatchObject({
      name: "RequestRejectedError",
    });
    const { nodeID } = await nextServed();
    await jest.advanceTimersByTimeAsync(SUSPECT_AFTER);
    await refused;
    expect(isUp(nodeID)).toBe(false);
    expect(isUp(nodeID === "one" ? "two" : "one")).toBe(true);
  });

  test("is dropped when it does not answer: a read is answered by another node", async () => {
    silence();
    const calling = worker.call(here, "read", {});
    const dead = await nextServed();
    await jest.advanceTimersByTimeAsync(SUSPECT_AFTER);
    await jest.advanceTimersByTimeAsync(50);
    const living = await nextServed();
    living.answer();
    await expect(calling).resolves.toBe(dead.nodeID === "one" ? "two" : "one");
  });

  test("is back with its next heartbeat when it was only frozen", async () => {
    silence();
    const refused = expect(worker.call(here, "write", {})).rejects.toThrow();
    const { nodeID } = await nextServed();
    await jest.advanceTimersByTimeAsync(SUSPECT_AFTER);
    await refused;
    const frozen = nodes.find((node) => node.nodeID === nodeID) as ServiceBroker;
    await frozen.registry.discoverer.sendHeartbeat();
    expect(await until(() => isUp(nodeID), PATIENCE)).toBe(true);
  });

  test("is asked once, however many calls wait for it", async () => {
    const pong = Promise.withResolvers<never>();
    const ping = jest.spyOn(here, "ping").mockReturnValue(pong.promise);
    const calling = Array.from({ length: 6 }, () => worker.call(here, "write", {}));
    expect(await until(() => served.length === 6, PATIENCE)).toBe(true);
    await jest.advanceTimersByTimeAsync(SUSPECT_AFTER);
    expect(ping.mock.calls.map(([nodeID]) => String(nodeID)).sort()).toEqual(["one", "two"]);
    pong.resolve({ nodeID: "it" } as never);
    served.forEach(({ answer }) => answer());
    await expect(Promise.all(calling)).resolves.toHaveLength(6);
  });

  test("is asked again by the next silent call", async () => {
    const ping = jest.spyOn(here, "ping");
    // Calls take turns: the third goes to the first one's node again.
    for (const asked of [1, 2, 3, 4]) {
      const calling = worker.call(here, "write", {});
      const { answer } = await nextServed();
      await jest.advanceTimersByTimeAsync(SUSPECT_AFTER);
      expect(ping).toHaveBeenCalledTimes(asked);
      await ping.mock.results[asked - 1]?.value;
      answer();
      await calling;
    }
  });

  test("that could not be asked is kept", async () => {
    jest.spyOn(here, "ping").mockRejectedValue(new Error("no connection"));
    const calling = worker.call(here, "write", {});
    const { nodeID, answer } = await nextServed();
    await jest.advanceTimersByTimeAsync(SUSPECT_AFTER);
    expect(isUp(nodeID)).toBe(true);
    answer();
    await expect(calling).resolves.toBe(nodeID);
  });
});

test("the call to a node that died is rejected when another process comes up under its name, which answers pings", async () => {
  const refused = expect(worker.call(here, "write", {})).rejects.toMatchObject({
    name: "RequestRejectedError",
  });
  const { nodeID } = await nextServed();
  const { rawInfo } = here.registry.nodes.get(nodeID) as unknown as { rawInfo: object };
  // The same news of the same process reject nothing: the call waits on.
  here.registry.processNodeInfo({ ...rawInfo } as never);
  await jest.advanceTimersByTimeAsync(SUSPECT_AFTER + ANSWER_WITHIN);
  expect(here.transit?.pendingRequests.size).toBe(1);
  here.registry.processNodeInfo({ ...rawInfo, instanceID: "another" } as never);
  await refused;
  expect(isUp(nodeID)).toBe(true);
});

test("a process that comes up under the name of one that died gets no more calls before it serves them", async () => {
  // Killed, it says nothing, and nobody has called it since.
  await nodes[1]?.transit?.tx.disconnect();
  const ready = Promise.withResolvers<void>();
  const risen = newNode("one", true, ready.promise);
  nodes[1] = risen;
  const starting = risen.start();
  await turning(until(() => risen.transit?.connected === true, PATIENCE));
  const calling = Promise.all(Array.from({ length: 4 }, () => worker.call(here, "read", {})));
  const answering = until(() => {
    for (const { answer } of served) answer();
    return false;
  }, 500);
  await turning(Promise.all([calling, answering]));
  await expect(calling).resolves.toEqual(["two", "two", "two", "two"]);
  ready.resolve();
  await turning(starting);
  await risen.registry.discoverer.sendLocalNodeInfo();
  expect(await until(() => isUp("one"), PATIENCE)).toBe(true);
});

test("a node that answers promptly is never asked", async () => {
  const ping = jest.spyOn(here, "ping");
  const calling = worker.call(here, "write", {});
  (await nextServed()).answer();
  await calling;
  await jest.advanceTimersByTimeAsync(10 * SUSPECT_AFTER);
  expect(ping).not.toHaveBeenCalled();
});
