import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { SERVICES } from "../../core/config.ts";
import { freePort } from "../../local/ports.ts";
import { until } from "../../local/until.ts";
import { bodyOf } from "../support/answer.ts";
import { mustConform } from "../support/conformance.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { TestSocket } from "../support/socket.ts";

let node: TestNode;
let metrics: string;

const METRICS_TOKEN = "a token of 32 bytes for Prometheus".replaceAll(" ", "-");
const ask = (path = "", token: string | null = METRICS_TOKEN, method = "GET") =>
  fetch(`${metrics}${path}`, {
    method,
    headers: { Connection: "close", ...(token !== null && { Authorization: `Bearer ${token}` }) },
  });

beforeAll(async () => {
  const OPS_PORT = await freePort();
  node = await startTestNode({
    // With the jobs: docs/metrics.md is about a node that runs everything.
    SERVICES: [...SERVICES],
    OPS_PORT,
    METRICS_TOKEN,
    RATE_LIMIT: "on",
    RATE_LIMIT_DEFAULT: { points: 10, duration: 60 },
  });
  metrics = `http://127.0.0.1:${OPS_PORT}/metrics`;
});
afterAll(() => node?.stop());

interface Family {
  type: string;
  /** Sorted; null where no sample shows them. */
  labels: string[] | null;
}

/** Each metric of a text in Prometheus' format. */
function familiesOf(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm))
    families.set(name as string, { type: type as string, labels: null });
  for (const [, sample = "", labels = ""] of text.matchAll(/^(\w+)(?:\{(.*)\})? /gm)) {
    const family = families.get(sample) ?? families.get(sample.replace(/_(bucket|sum|count)$/, ""));
    const names = [...labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)].map(([, name]) => name as string);
    if (family !== undefined) family.labels = names.filter((name) => name !== "le").sort();
  }
  return families;
}

/** Each metric of the tables in docs/metrics.md. */
async function documented(): Promise<Map<string, Family & { labels: string[] }>> {
  const page = await readFile(new URL("../../docs/metrics.md", import.meta.url), "utf8");
  const rows = page.matchAll(/^\| `(\w+)` +\| (\w+) +\|([^|]*)\|/gm);
  return new Map(
    Array.from(rows, ([, name, type, labels = ""]) => [
      name as string,
      {
        type: type as string,
        labels: [...labels.matchAll(/`(\w+)`/g)].map(([, name]) => name as string).sort(),
      },
    ]),
  );
}

test("/metrics has what docs/metrics.md says, each with its type and labels, and nothing else", async () => {
  const ada = await node.api.person("ada");
  const socket = await TestSocket.connect(node.url, { token: ada.token });
  const task = await ada.api.must("POST", "/tasks", { title: "Count me" });
  expect((await ada.api.get(`/tasks/${task.id}`)).status).toBe(200);
  await socket.waitFor(() => socket.events.length > 0);
  let text = "";
  const scrape = async () => {
    const answer = await ask();
    expect(answer.status).toBe(200);
    text = await answer.text();
    mustConform("GET", "/metrics", { status: 200, headers: answer.headers, body: text });
  };
  // What waits in the queues is counted in the background: the first scrapes go without.
  const isCounted = async () => {
    await scrape();
    return text.includes('taskwire_jobs_waiting{queue="');
  };
  expect(await until(isCounted, 5000)).toBe(true);

  const [docs, live] = [await documented(), familiesOf(text)];
  const typesOf = (families: Map<string, Family>) =>
    Object.fromEntries([...families].map(([name, { type }]) => [name, type]));
  expect(typesOf(live)).toEqual(typesOf(docs));
  for (const [name, { labels }] of live)
    if (labels !== null) expect([name, labels]).toEqual([name, docs.get(name)?.labels]);

  // Patterns stand for paths, and what happened is counted.
  expect(text).not.toContain(task.id);
  const value = (sample: string) =>
    Number(
      text
        .split("\n")
        .find((line) => line.startsWith(`${sample} `))
        ?.split(" ")[1],
    );
  const requests = "taskwire_http_request_duration_seconds_count";
  expect(value(`${requests}{method="GET",route="/tasks/:id",status="200"}`)).toBe(1);
  expect(value(`${requests}{method="POST",route="/tasks",status="201"}`)).toBe(1);
  expect(value('taskwire_action_duration_seconds_count{action="tasks.create",outcome="done"}')).toBe(1);
  expect(value('taskwire_database_query_duration_seconds_count{pool="writes"}')).toBeGreaterThan(0);
  expect(value('taskwire_events_delivered_total{source="hint"}')).toBe(1);
  expect(value("taskwire_event_delivery_delay_seconds_count")).toBe(1);
  for (const [gauge, now] of [
    ["taskwire_sockets", 1],
    ["taskwire_streams", 1],
    ["taskwire_tails_behind", 0],
    ["taskwire_ready", 1],
    ['taskwire_dependency_up{dependency="database"}', 1],
    ['taskwire_service_nodes{service="tasks"}', 1],
    ["taskwire_rate_limit_fallback", 0],
    ["taskwire_event_retention_seconds", node.config.EVENT_RETENTION_DAYS * 86_400],
  ] as const)
    expect([gauge, value(gauge)]).toEqual([gauge, now]);
  expect(value("process_resident_memory_bytes")).toBeGreaterThan(10_000_000);
  socket.close();
});

test("it counts requests whose clients did not wait for the answer", async () => {
  const ada = await node.api.person("ada");
  const controller = new AbortController();
  const cursors = (await ada.api.must("POST", "/sync", {})).cursors as object;
  const waiting = fetch(`${node.url}/sync`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${ada.token}`,
      "Content-Type": "application/json",
      Connection: "close",
    },
    body: JSON.stringify({ cursors, wait: 20 }),
    signal: controller.signal,
  });
  const says = (sample: string) => async () => (await (await ask()).text()).split("\n").includes(sample);
  expect(await until(says("taskwire_waiting_requests 1"), 5000)).toBe(true);
  const isCounted = says('taskwire_requests_aborted_total{method="POST",route="/sync"} 1');
  expect(await isCounted()).toBe(false);
  controller.abort();
  await expect(waiting).rejects.toThrow("aborted");
  expect(await until(isCounted, 5000)).toBe(true);
});

test("it counts answers out of the cache, where a page and a detail outlive changes of a task", async () => {
  const eve = await node.api.person("eve");
  const { id: project } = await eve.api.must("POST", "/projects", { name: "Cached" });
  const { id } = await eve.api.must("POST", `/projects/${project}/tasks`, { title: "First" });
  /** Hits and misses. */
  const counts = async (kind: string) => {
    const text = await (await ask()).text();
    return ["hits", "misses"].map((name) =>
      Number(
        new RegExp(`^taskwire_cache_${name}_total\\{kind="${kind}"\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0,
      ),
    );
  };
  for (const [kind, path] of [
    ["tasks.list_in_project", `/projects/${project}/tasks`],
    ["tasks.get", `/tasks/${id}`],
  ] as const) {
    // A name that an answer is the first to have is marked, and the next one is kept.
    for (let n = 0; n < 2; n++) await eve.api.must("GET", path);
    const [hits = 0, misses] = await counts(kind);
    const { title } = await eve.api.must("PATCH", `/tasks/${id}`, { title: `Changed before ${kind}` });
    const answer = await eve.api.must("GET", path);
    expect((answer.items?.[0] ?? answer).title).toBe(title);
    expect(await counts(kind)).toEqual([hits + 1, misses]);
  }
});

test("it counts what the rate limits refuse, and the gateway serves the same at its own port", async () => {
  while ((await node.api.get("/tasks")).status !== 429);
  const answer = await fetch(`${node.url}/metrics`, {
    headers: { Connection: "close", Authorization: `Bearer ${METRICS_TOKEN}` },
  });
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toMatch(/^text\/plain/);
  const text = await answer.text();
  expect(text).toMatch(/^taskwire_rate_limited_total\{budget="default"\} 1$/m);
  expect(text).toMatch(
    /^taskwire_http_request_duration_seconds_count\{method="GET",route="\/tasks",status="429"\} 1$/m,
  );
  expect((await fetch(`${node.url}/metrics`, { headers: { Connection: "close" } })).status).toBe(429);
});

test.each<[string, string | null, RegExp]>([
  ["no token", null, /^Bearer realm="taskwire metrics"$/],
  ["another token", `${METRICS_TOKEN}x`, /error="invalid_token"$/],
  ["a part of it", METRICS_TOKEN.slice(0, -1), /error="invalid_token"$/],
])("%s reads no metrics", async (_what, token, challenge) => {
  for (const method of ["GET", "HEAD"]) {
    const answer = await ask("", token, method);
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toMatch(challenge);
    expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    const text = await answer.text();
    mustConform(method, "/metrics", {
      status: 401,
      headers: answer.headers,
      body: bodyOf(answer.headers, text),
    });
    expect(text).not.toContain("taskwire_");
    expect(text).not.toContain(METRICS_TOKEN);
    if (method === "GET")
      expect(JSON.parse(text)).toMatchObject({ status: 401, request_id: answer.headers.get("x-request-id") });
  }
});

test("OPS_PORT takes GET and HEAD of its pages, with a slash or a query, and knows nothing else", async () => {
  for (const path of ["", "/", "?x=1"]) {
    const [get, head] = [await ask(path), await ask(path, METRICS_TOKEN, "HEAD")];
    expect([get.status, head.status, await head.text()]).toEqual([200, 200, ""]);
    expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
    expect(await get.text()).toContain("taskwire_build_info");
  }
  const post = await ask("", METRICS_TOKEN, "POST");
  expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  for (const path of ["x", "/x", "/../tasks"]) expect((await ask(path)).status).toBe(404);
});
