import { expect, test } from "@jest/globals";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { loadConfig } from "../../core/config.ts";
import { openTracer } from "../../core/spans.ts";
import { begin, currentScope, originHere, placeOf, traced, useTracer } from "../../core/trace.ts";
import { until } from "../../local/until.ts";
import { startSpanCollector } from "../support/collectors.ts";

const REQUEST = { name: "a request", kind: "server", requestId: "r", parent: null } as const;

/** A broker whose work is recorded, and what the tracer says of its collector. */
function record(host: string, TRACE_SAMPLE = 1) {
  const warnings: string[] = [];
  const config = { ...loadConfig({}), TRACE_URL: `http://${host}/api/v2/spans`, TRACE_SAMPLE };
  const tracer = openTracer(config, (line) => warnings.push(line));
  const broker = {};
  useTracer(broker, tracer);
  return { tracer, warnings, service: { broker, name: "things" } };
}

test("work inside of work is a child, work that fails says how, and each place is passed on", async () => {
  const collector = await startSpanCollector();
  const { tracer, service, warnings } = record(collector.host);
  await begin({ ...REQUEST, service }, async () => {
    await traced("inner", "client", { size: 2 }, async () => expect(originHere()?.request_id).toBe("r"));
    await expect(
      traced("failing", "client", {}, () => Promise.reject(new TypeError("a secret"))),
    ).rejects.toThrow();
    expect(() =>
      traced("throwing", "internal", {}, () => {
        throw new RangeError("a secret");
      }),
    ).toThrow();
  });
  expect(currentScope()).toBeUndefined();
  await tracer.close();
  const root = collector.spans.find(({ name }) => name === "a request");
  expect(root).toMatchObject({ kind: "SERVER", localEndpoint: { serviceName: "things" } });
  expect(root?.parentId).toBeUndefined();
  const children = collector.spans.filter(
    ({ parentId, traceId }) => parentId === root?.id && traceId === root?.traceId,
  );
  expect(children.map(({ name, tags }) => [name, tags.error])).toEqual([
    ["inner", undefined],
    ["failing", "TypeError"],
    ["throwing", "RangeError"],
  ]);
  expect(JSON.stringify(collector.spans)).not.toContain("a secret");
  expect(warnings).toEqual([]);
  await collector.stop();
});

test("a trace is recorded as its parent says, and without one as TRACE_SAMPLE says", async () => {
  const collector = await startSpanCollector();
  const { tracer, service } = record(collector.host, 0);
  const parents = { sampled: "01", unsampled: "00" };
  for (const [name, flag] of Object.entries(parents)) {
    const parent = placeOf(`00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-${flag}`);
    begin({ ...REQUEST, name, parent, service }, () => {
      expect(originHere()?.trace).toMatch(
        new RegExp(`^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-${flag}$`),
      );
    });
  }
  begin({ ...REQUEST, service }, () => expect(originHere()?.trace).toMatch(/-00$/));
  await tracer.close();
  expect(collector.spans.map(({ name }) => name)).toEqual(["sampled"]);
  await collector.stop();
});

test("a silent collector costs two connections at most, a warning once it ends, and delays nothing", async () => {
  let asked = 0;
  const silent = createServer(() => (asked += 1)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { tracer, service, warnings } = record(`127.0.0.1:${(silent.address() as AddressInfo).port}`);
  for (let n = 0; n < 5000; n += 1) begin({ ...REQUEST, service }, () => {});
  expect(await until(() => asked > 0, 5000)).toBe(true);
  const closed = tracer.close();
  await until(() => asked === 2, 5000);
  silent.closeAllConnections();
  silent.close();
  await closed;
  expect(asked).toBe(2);
  expect(warnings).toEqual([expect.stringMatching(/^spans are not sent to TRACE_URL and are dropped: /)]);
});

test("without a tracer the ids of a parent go on, and a new trace has new ones", () => {
  const service = { broker: {}, name: "things" };
  const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  begin({ ...REQUEST, service, parent: placeOf(trace) }, () => {
    traced("inner", "client", {}, () => expect(originHere()).toEqual({ request_id: "r", trace }));
  });
  const [first, second] = [0, 1].map(() => begin({ ...REQUEST, service }, () => originHere()?.trace));
  expect(first).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  expect(second).not.toBe(first);
});
