/**
 * `npm run bench:growth`: what costs more when there is more? Fills a Postgres of its own with 10,000, 100,000 and a million
 * tasks and as many events (`SIZES=1000,10000` for others), two fifths of them in what the callers see. For each read of
 * growth-reads.ts it prints the 50th and the 95th percentile in milliseconds and the buffers of 8 kB that Postgres touched, for
 * each write over HTTP its percentiles and its WAL; then the ratio of the largest size to the smallest. Times are those of a
 * machine that may be busy, buffers are not. A million take some minutes, most of them to fill the tables.
 */
import pg from "pg";
import { io } from "socket.io-client";
import { projectStream } from "../mixins/event-log.ts";
import { type Queryable, SESSION, type Statement, types } from "../mixins/database.ts";
import { forgetOldEvents } from "../mixins/event-log.erasure.ts";
import { EVENT_TYPES } from "../services/events.ts";
import { grow, prepare } from "./growth-data.ts";
import { type Figure, Meter, printFigures, TIMEOUT_MS } from "./growth-figures.ts";
import { readsOf } from "./growth-reads.ts";
import { PASSWORD, percentile, startSystem } from "./system.ts";

const SIZES = (process.env.SIZES ?? "10000,100000,1000000").split(",").map(Number);
/** Older than any event. */
const LONG_AGO = "2000-01-01T00:00:00.000Z";
/** Events that a socket is behind in each of its 20 streams, and how often it resumes. */
const [BEHIND, RESUMES] = [Number(process.env.BEHIND ?? 100), 10];

const system = await startSystem({ BCRYPT_COST: "4", NODE_ENV: "test" });
const client = new pg.Client({
  connectionString: system.databaseUrl,
  types,
  options: SESSION,
});
const meter = new Meter(client);
const db: Queryable = {
  query: async <Row extends object>({ text, values = [] }: Statement) =>
    (await client.query<Row>(text, values)).rows,
};

async function logIn(): Promise<string> {
  const body = { login: "growth", password: PASSWORD };
  return (await system.must<{ access_token: string }>("POST", "/auth/login", { body })).access_token;
}

/** Writes of one user into a large project. */
async function measureWrites(token: string, project: string): Promise<[string, Figure][]> {
  const made: string[] = [];
  const description = "Noted in the weekly meeting. ".repeat(5);
  const post = <Body>(path: string, body: object) => system.must<Body>("POST", path, { token, body });
  const create = await meter.write(async (nth) => {
    const task = { title: `New task ${nth}`, description };
    made.push((await post<{ id: string }>(`/projects/${project}/tasks`, task)).id);
  });
  const patch = await meter.write((nth) =>
    system.must("PATCH", `/tasks/${made[nth]}`, { token, body: { title: `Title ${nth}` } }),
  );
  const start = await meter.write((nth) => post(`/tasks/${made[nth]}/transitions`, { to: "in_progress" }));
  return [
    ["create a task", create],
    ["patch its title", patch],
    ["start it", start],
  ];
}

/** From a socket's connect to `ready`, with all events that it missed. */
async function measureResume(token: string, streams: string[]): Promise<Figure> {
  const { rows } = await client.query<{ name: string; head: number }>(
    "SELECT name, head FROM events.streams WHERE name = ANY ($1::text[])",
    [streams],
  );
  const cursors = Object.fromEntries(rows.map(({ name, head }) => [name, Math.max(0, head - BEHIND)]));
  const missed = rows.reduce((sum, { head }) => sum + Math.min(head, BEHIND), 0);
  const times: number[] = [];
  for (let nth = 0; nth < RESUMES; nth++) {
    const start = performance.now();
    const socket = io(system.origin, {
      path: "/ws",
      auth: { token, streams, cursors },
      transports: ["websocket"],
      forceNew: true,
    });
    let events = 0;
    for (const type of EVENT_TYPES) socket.on(type, () => (events += 1));
    await new Promise((resolve, reject) => socket.once("ready", resolve).once("connect_error", reject));
    times.push(performance.now() - start);
    socket.disconnect();
    if (events !== missed) throw new Error(`${events} events came, and not ${missed}`);
  }
  return { p50: percentile(times, 0.5), p95: percentile(times, 0.95), cost: 0 };
}

try {
  await client.connect();
  const [me = "", wide = "", admin = ""] = await Promise.all(
    ["growth", "wide", "boss"].map(async (name) => (await system.register(name)).id),
  );
  const grown = await prepare(client, { me, wide, admin });
  const [large = ""] = grown.projects;
  const reads: (Figure | null)[][] = [];
  const others: Figure[][] = [];
  let names: { reads: string[]; others: string[] } = { reads: [], others: [] };
  let from = 0;
  for (const to of SIZES) {
    console.log(`filling in ${to.toLocaleString("en")} tasks and events`);
    await client.query("SET statement_timeout = 0");
    await grow(client, { me, category: grown.category, from, to });
    // The first run of the job looks at all streams, each later one at those that it concerns.
    while (await forgetOldEvents(db, LONG_AGO));
    await client.query(`SET statement_timeout = ${TIMEOUT_MS}`);
    from = to;
    const { rows } = await client.query<{ id: string; created_at: string }>(
      "SELECT id, created_at FROM tasks.tasks WHERE project_id = $1 ORDER BY created_at OFFSET $2 LIMIT 1",
      [large, Math.floor(to * 0.095)],
    );
    const these = readsOf({ me, wide, admin }, grown, rows[0] as (typeof rows)[number]);
    const figures: (Figure | null)[] = [];
    for (const [, read] of these) figures.push(await meter.read(read));
    reads.push(figures);
    const token = await logIn();
    const written = await measureWrites(token, large);
    const resume = await measureResume(token, grown.projects.map(projectStream));
    others.push([...written.map(([, of]) => of), resume]);
    names = {
      reads: these.map(([name]) => name),
      others: [...written.map(([name]) => name), `resume 20 streams, ${BEHIND} events behind in each`],
    };
  }
  printFigures("Reads: p50 / p95 in ms / buffers", names.reads, SIZES, reads);
  printFigures("Writes: p50 / p95 in ms / bytes of WAL", names.others, SIZES, others);
} finally {
  await client.end().catch(() => {});
  await system.stop();
}
