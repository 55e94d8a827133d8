/** One run: starts the system, lets writers and faults loose on it, waits until all is quiet, and records what happened. */
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../../local/until.ts";
import { dumpBoard, dumpLog, dumpState, forgetEvents } from "./database-dump.ts";
import { digestOf } from "./digest.ts";
import { COLUMN, fillColumn, Network } from "./dragging.ts";
import { runFaults } from "./fault-schedule.ts";
import { HttpClient } from "./http-client.ts";
import { Random } from "./random.ts";
import { Reader } from "./reader.ts";
import type { Dragging, FaultSpan, History, Recording } from "./recording.ts";
import { runRolling } from "./rolling.ts";
import type { Subscriber } from "./subscriber.ts";
import { SdkClient } from "./sdk-client.ts";
import { makeSubscribers, SOCKETS } from "./subscribers.ts";
import { taskWrites } from "./task-writes.ts";
import { DATABASE, type Own, Topology } from "./topology.ts";
import { type Project, World } from "./world.ts";
import { Writer } from "./writer.ts";
import { WRITES } from "./writes.ts";

export interface RunOptions {
  seed: number;
  /** How long writers write: so many minutes, or until so many faults came and were mended. */
  length: { minutes: number; faults?: undefined } | { faults: number };
  /** A rollout in place of faults by chance: it lasts as long as it takes. */
  isRolling: boolean;
  /** Faults to choose from. */
  only: string[];
  /** The share of writers and subscribers that there are. */
  scale: number;
  /**
   * Clients of the SDK that take part, whose stores must be what REST says in the end: `sdk` write beside the writers,
   * `dragging` are the only ones who write, and drag the cards of one column.
   */
  clients: "none" | "sdk" | "dragging";
  /** Empty, and open to Postgres' user. */
  folder: string;
}

const SUBSCRIBERS = 100;
const SIZES = { writers: 20, watchers: 10, guests: 6, staff: 2, projects: 10, share: 0.4 };
/** Of a run in which they drag: one project, and everybody in it; and who looks on. */
const DRAGGING_SIZES = { watchers: 0, guests: 0, staff: 0, projects: 1, share: 1 };
const ONLOOKERS = 20;
/** Clients of the SDK, and the projects that each of them keeps. */
const [SDK_CLIENTS, SDK_PROJECTS] = [10, 2];
/** Milliseconds between two writes of one writer, and between two drags of one client. */
const [PAUSE_MS, DRAG_PAUSE_MS] = [600, 1000];
/** Of a rollout: sockets, and reads a second beside the writers' 33 writes. */
const [ROLLING_SOCKETS, ROLLING_READS] = [200, 167];
const CONNECTED_WITHIN_MS = 30_000;
/** The run is over when no frame came for so long. */
const QUIET_MS = 4000;
const QUIET_WITHIN_MS = 60_000;
const PROGRESS_MS = 1000;
/** How long writers write on after the last fault of a run that counts them. */
const WELL_MS = 1000;

export async function run(
  { seed, length, isRolling, only, scale, clients, folder }: RunOptions,
  own: Own,
  say: (line: string) => void,
  onProgress: (line: string) => void,
  signal: AbortSignal,
): Promise<Recording> {
  const random = new Random(seed);
  // Drawn first: the schedule of faults is the same whatever takes part.
  const schedule = random.fork();
  const scaled = (count: number): number => Math.max(2, Math.round(count * scale));
  const topology = await Topology.start(folder, own, say);
  const { signals, calls, histories, spans } = emptyLists();
  const http = new HttpClient(() => topology.api.url, calls);
  await until(
    async () => (await fetch(`${topology.api.url}/openapi.json`).catch(() => null))?.ok === true,
    CONNECTED_WITHIN_MS,
  );

  say("making users and projects");
  const isDragging = clients === "dragging";
  const many = { writers: scaled(SIZES.writers), watchers: scaled(SIZES.watchers) };
  const sizes = { ...SIZES, ...many, ...(isDragging && DRAGGING_SIZES) };
  const world = await World.make(http, topology.mails, sizes, random.fork());
  const urls = { sockets: topology.sockets.url, api: topology.streams.url };
  const subscribers = isRolling
    ? makeSubscribers(world, scaled(ROLLING_SOCKETS), urls, random.fork(), signals, SOCKETS)
    : makeSubscribers(world, scaled(isDragging ? ONLOOKERS : SUBSCRIBERS), urls, random.fork(), signals);
  own("subscribers", () => subscribers.forEach((one) => one.stop()));
  for (const one of subscribers) one.start();
  const connected = (): number => subscribers.filter(({ isConnected }) => isConnected).length;
  await until(() => connected() === subscribers.length, CONNECTED_WITHIN_MS);

  if (isDragging) await fillColumn(world, world.projects[0] as Project);

  const began = Date.now();
  const end = length.faults === undefined ? began + length.minutes * 60_000 : Infinity;
  const ending = new AbortController();
  const writers = (isDragging ? [] : world.writers).map(
    (user) => new Writer(world, random.fork(), user, isRolling ? taskWrites : WRITES),
  );
  const writing = writers.map((writer) => writer.run(ending.signal, PAUSE_MS));
  if (isRolling)
    writing.push(new Reader(world, random.fork()).run(ending.signal, Math.round(ROLLING_READS * scale)));
  // Drawn last: a seed makes the same choices with them and without them.
  const networks = isDragging ? await openNetworks(world, topology, own) : [];
  const sdk =
    clients === "none" ? [] : makeSdkClients(world, scaled(SDK_CLIENTS), topology, networks, random.fork());
  own("clients of the SDK", () => Promise.all(sdk.map((one) => one.stop())));
  writing.push(...sdk.map((one) => one.run(ending.signal, isDragging ? DRAG_PAUSE_MS : PAUSE_MS)));
  writing.push(...networks.map((network) => network.run(ending.signal, random.fork())));
  const how = isRolling ? "while each node restarts, and dies" : describe(length);
  say(
    `${isDragging ? sdk.length : writers.length} writers and ${subscribers.length} subscribers ${how}, seed ${seed}`,
  );
  const progress = setInterval(() => {
    const broken = spans
      .filter(({ ended }) => ended === Infinity)
      .map(({ name, target }) => `${name} (${target})`);
    const seconds = Math.round((Date.now() - began) / 1000);
    onProgress(
      `${seconds} s  ${calls.length} requests  ${signals.length} signals  ${connected()} connected  ${broken.join(", ") || "all well"}`,
    );
  }, PROGRESS_MS);
  own("progress", () => clearInterval(progress));

  const keepHistory = async (isForgotten = false): Promise<void> => {
    const rows = await dumpLog(await topology.postgres.urlOf(DATABASE));
    histories.push({ until: Date.now(), rows, isForgotten });
  };
  const forgetLog = async (): Promise<void> => {
    await keepHistory(true);
    await forgetEvents(await topology.postgres.urlOf(DATABASE), histories.at(-1)?.rows ?? []);
  };
  const site = { topology, subscribers, random: schedule, keepHistory, forgetLog };
  const onFault = (span: FaultSpan): void => void spans.push(span);
  if (isRolling) await runRolling(topology, { signal, onFault });
  else
    await runFaults(site, only, {
      isOver: () => Date.now() >= end || spans.length >= (length.faults ?? Infinity),
      signal,
      onFault,
    });
  const rest = isRolling || end === Infinity ? WELL_MS : end - Date.now();
  await delay(Math.max(0, rest), undefined, { signal }).catch(() => {});

  ending.abort();
  await Promise.all(writing);
  signal.throwIfAborted();
  await Promise.all(sdk.map((one) => one.settle()));
  const absent = await quiet(signals, subscribers);
  const stores = (await Promise.all(sdk.map((one) => one.report()))).flat();
  const ended = Date.now();
  for (const { name } of absent) signals.push({ at: ended, client: name, connection: 0, kind: "absent" });
  const listed = await listTasks(world);
  const url = await topology.postgres.urlOf(DATABASE);
  histories.push({ until: null, rows: await dumpLog(url) });
  clearInterval(progress);
  return {
    seed,
    began,
    ended,
    founders: Object.fromEntries(world.projects.map(({ id, founder }) => [`project:${id}`, founder.id])),
    // What comes after the end is not judged.
    signals: signals.filter(({ at }) => at <= ended),
    calls,
    faults: spans,
    histories,
    state: await dumpState(url),
    rest: listed,
    ...(clients !== "none" && { stores }),
    ...(isDragging && { dragging: await readDragging(world, url, sdk, networks) }),
    exits: topology.exits,
    rejections: topology.rejections,
    memory: topology.memory,
  };
}

const openNetworks = (world: World, topology: Topology, own: Own): Promise<Network[]> =>
  Promise.all(world.writers.map((_, n) => Network.open(n, topology, own)));

/**
 * Clients of writers, who stay in their projects.
 * @param networks those by which they drag, one each; none for others
 */
function makeSdkClients(
  world: World,
  count: number,
  { api, sockets }: Topology,
  networks: Network[],
  random: Random,
): SdkClient[] {
  const users = world.writers.filter((user) => world.projectsOf(user).length > 0);
  return Array.from({ length: Math.min(networks.length || count, users.length) }, (_, n) => {
    const user = users[n] as World["writers"][number];
    const projects = world.projectsOf(user).slice(0, SDK_PROJECTS);
    const way = networks[n]?.urls;
    const urls = { api: () => way?.api ?? api.url, sockets: way?.sockets ?? sockets.url };
    const isDragging = way !== undefined;
    return new SdkClient({ name: `sdk${n}`, user, projects, urls, world, random: random.fork(), isDragging });
  });
}

/** The column as Postgres, REST and each store have it, and who dragged what. */
async function readDragging(
  world: World,
  url: string,
  clients: SdkClient[],
  networks: Network[],
): Promise<Dragging> {
  const [project] = world.projects as [Project];
  const session = await world.logIn(project.owner);
  const { body } = await world.http.send(
    { method: "GET", path: `/projects/${project.id}/tasks?status=${COLUMN}&sort=position&limit=100` },
    { user: project.owner.id, token: session?.token ?? "" },
    { action: "tasks.list" },
  );
  const { moves, order } = await dumpBoard(url, project.id, COLUMN);
  const boards = clients.map((client) => ({ name: client.name, ...client.board() }));
  return {
    drags: boards.flatMap(({ drags }) => drags),
    cuts: networks.reduce((sum, { cuts }) => sum + cuts, 0),
    moves,
    orders: {
      Postgres: order,
      REST: ((body?.items ?? []) as { id: string }[]).map(({ id }) => id),
      ...Object.fromEntries(boards.map(({ name, order: own }) => [name, own])),
    },
  };
}

const describe = (length: RunOptions["length"]): string =>
  length.faults === undefined ? `for ${length.minutes} min` : `and ${length.faults} faults`;

function emptyLists() {
  const signals: Recording["signals"] = [];
  const calls: Recording["calls"] = [];
  const spans: Recording["faults"] = [];
  const histories: History[] = [];
  return { signals, calls, spans, histories };
}

/** Waits until no frame comes any more and every subscriber was back since. @returns those that were not */
async function quiet(signals: Recording["signals"], subscribers: Subscriber[]): Promise<Subscriber[]> {
  const expected = (): Subscriber[] => subscribers.filter(({ user }) => !user.isGone);
  const back = new Set<Subscriber>();
  let count = -1;
  let since = Date.now();
  await until(async () => {
    await delay(100);
    const events = signals.filter(({ kind }) => kind === "event").length;
    if (events !== count) {
      since = Date.now();
      back.clear();
    }
    count = events;
    for (const one of subscribers) if (one.isConnected) back.add(one);
    return Date.now() - since > QUIET_MS && expected().every((one) => back.has(one));
  }, QUIET_WITHIN_MS);
  return expected().filter((one) => !back.has(one));
}

/** The tasks of each project as its owner's lists show them. */
async function listTasks(world: World): Promise<Recording["rest"]> {
  const rest: Recording["rest"] = {};
  for (const project of world.projects) {
    const tasks = await listProject(world, project);
    if (tasks !== null) rest[`project:${project.id}`] = tasks;
  }
  return rest;
}

async function listProject(world: World, { id, owner }: Project): Promise<Record<string, string> | null> {
  const session = await world.logIn(owner);
  const tasks: Record<string, string> = {};
  let cursor: string | null = "";
  while (cursor !== null) {
    const path: string = `/projects/${id}/tasks?limit=100&sort=created_at${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
    const identity = { user: owner.id, token: session?.token ?? "" };
    const { outcome, body } = await world.http.send({ method: "GET", path }, identity, {
      action: "tasks.list",
    });
    if (outcome !== "ok") return null;
    for (const task of body.items) tasks[task.id] = digestOf(task);
    cursor = body.next_cursor;
  }
  return tasks;
}
