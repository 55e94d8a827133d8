/**
 * Races by schedule, not by luck: a scheduler holds back each query's execution, each query's answer and each hint, and
 * releases them in every order that its seed says. Postgres is a model in memory; `Streams` and `connect` are the real
 * ones. Whatever the order, a client ends with what its user may read: each event once, in order, none missing.
 */
import { describe, expect, test } from "@jest/globals";
import { setImmediate as macrotask } from "node:timers/promises";
import fc, { type Scheduler } from "fast-check";
import type { CommittedEvent, LoggedEvent, Position } from "../../core/events.ts";
import type { Database, Statement } from "../../mixins/database.ts";
import type { ClientSocket, PushServer } from "../../services/notifier/sockets.ts";
import { type Joined, Streams } from "../../services/notifier/streams.ts";
import { Problem } from "../../core/errors.ts";
import { idOf } from "./fixtures.ts";

const USERS = [idOf("a"), idOf("b")];
const PROJECTS = [idOf("1"), idOf("2")];
const projectStream = (id: string) => `project:${id}`;
const userStream = (id: string) => `user:${id}`;

interface Stream {
  log: LoggedEvent[];
  members_version: number;
}

/** What Postgres holds. Each change is one commit. */
class World {
  readonly streams = new Map<string, Stream>();
  readonly members = new Set<string>();
  /** The commit that each event is of, by its id, and the one that took a membership away. */
  readonly committed = new Map<string, number>();
  readonly lost = new Map<string, number>();
  #commits = 0;
  /** Connections that were lost. */
  interruptions = 0;
  #ids = 0;
  #backup: (() => void) | null = null;

  stream(name: string): Stream {
    const stream = this.streams.get(name) ?? { log: [], members_version: 0 };
    this.streams.set(name, stream);
    return stream;
  }

  isMember(user: string, project: string): boolean {
    return this.members.has(`${user} ${project}`);
  }

  #append(name: string, type: string, data: object): CommittedEvent {
    const stream = this.stream(name);
    const event: LoggedEvent = {
      id: `event-${++this.#ids}`,
      stream: name,
      seq: stream.log.length + 1,
      type,
      time: "",
      actor_id: null,
      request_id: null,
      data,
    };
    const previous_id = stream.log.at(-1)?.id ?? null;
    stream.log.push(event);
    this.committed.set(event.id, this.#commits);
    return { ...event, previous_id };
  }

  /** Whether an event was committed with the loss of a membership that the user has not got back, or after it. */
  isLeaked(user: string, project: string, id: string): boolean {
    const lost = this.lost.get(`${user} ${project}`);
    return !this.isMember(user, project) && lost !== undefined && (this.committed.get(id) ?? 0) >= lost;
  }

  write(project: string): CommittedEvent[] {
    this.#commits += 1;
    return [this.#append(projectStream(project), "task_updated", {})];
  }

  setMember(user: string, project: string, isMember: boolean): CommittedEvent[] {
    if (this.isMember(user, project) === isMember) return [];
    this.#commits += 1;
    if (isMember) this.members.add(`${user} ${project}`);
    else {
      this.members.delete(`${user} ${project}`);
      this.lost.set(`${user} ${project}`, this.#commits);
    }
    const data = { project: { id: project }, member: { user_id: user } };
    return [projectStream(project), userStream(user)].map((name) => {
      this.stream(name).members_version += 1;
      return this.#append(name, isMember ? "member_added" : "member_removed", data);
    });
  }

  /** What a client of the user may have: all but the last few events of what the user reads. */
  cursors(user: string, behind: number): Map<string, Position> {
    const names = [
      userStream(user),
      ...PROJECTS.filter((project) => this.isMember(user, project)).map(projectStream),
    ];
    return new Map(
      names.map((name) => {
        const { seq = 0, id = null } = this.stream(name).log.at(-1 - behind) ?? {};
        return [name, { seq, id }];
      }),
    );
  }

  backUp(): void {
    const members = [...this.members];
    const streams = structuredClone([...this.streams]);
    this.#backup = () => {
      this.members.clear();
      for (const member of members) this.members.add(member);
      this.streams.clear();
      for (const [name, stream] of structuredClone(streams)) this.streams.set(name, stream);
    };
  }

  /** Goes back to the last backup: what was committed since never happened, and its numbers are given again. */
  restore(): void {
    this.interruptions += 1;
    this.#backup?.();
  }

  /** What a statement finds, now. */
  answer({ name, values = [] }: Statement): object[] {
    const logOf = (stream: string, after: number, upTo: number, limit: number) =>
      this.stream(stream)
        .log.filter(({ seq }) => seq >= after && seq <= upTo)
        .slice(0, limit);
    switch (name) {
      case "events-heads":
        return (values[0] as string[]).flatMap((stream) => {
          const { log, members_version } = this.stream(stream);
          return log.length === 0
            ? []
            : [{ name: stream, head: log.length, members_version, last_id: log.at(-1)?.id }];
        });
      case "events-read":
        return logOf(values[0] as string, values[1] as number, values[2] as number, values[3] as number);
      case "events-read-many": {
        const [names, afters, upTos, limit] = values as [string[], number[], number[], number];
        return names.flatMap((stream, at) => logOf(stream, afters[at] ?? 0, upTos[at] ?? 0, limit));
      }
      case "notifier-readable":
        return (values[1] as string[])
          .filter((project) => this.isMember(values[0] as string, project))
          .map((id) => ({ id }));
      case "notifier-readers":
        return (values[1] as string[])
          .filter((user) => this.isMember(user, values[0] as string))
          .map((user_id) => ({ user_id }))
          .concat([{ user_id: null as never }]);
      case "notifier-memberships": {
        const mine = PROJECTS.filter((project) => this.isMember(values[0] as string, project));
        return mine.map((project_id) => ({ project_id, all: mine.length }));
      }
      default:
        throw new Error(`the model knows no statement ${name}`);
    }
  }
}

/** Executes at one scheduled moment, and answers at a later one. */
const scheduledDatabase = (world: World, s: Scheduler, isAway: () => boolean) =>
  ({
    async query(statement: Statement) {
      await s.schedule(Promise.resolve(), `execute ${statement.name}`);
      if (isAway()) throw new Problem("database-unavailable");
      const rows = structuredClone(world.answer(statement));
      await s.schedule(Promise.resolve(), `answer ${statement.name}`);
      return rows;
    },
    get interruptions() {
      return world.interruptions;
    },
  }) as unknown as Database;

class Server {
  readonly rooms = new Map<string, Set<string>>();
  readonly sockets = new Map<string, Client>();
  readonly local = {
    to: (room: string) => ({
      emit: (name: string, data: unknown) => {
        for (const id of [...(this.rooms.get(room) ?? [])]) this.sockets.get(id)?.emit(name, data);
      },
    }),
  };
  of() {
    return { adapter: { rooms: this.rooms }, sockets: this.sockets };
  }
}

type Frame = [name: string, data: any];

/** One connection of a client, and what came over it. */
class Client {
  readonly frames: Frame[] = [];
  disconnected = false;
  readonly rooms: Set<string>;
  readonly conn = { writeBuffer: [], transport: {}, close: () => this.end() };
  readonly data;
  readonly #server: Server;
  readonly #world: World;
  readonly id: string;
  readonly cursors: Map<string, Position>;
  readonly leaks: string[] = [];
  /** Streams that it left by itself, which it may get back or not. */
  readonly unsubscribed = new Set<string>();

  constructor(server: Server, world: World, id: string, user: string, cursors: Map<string, Position>) {
    this.#server = server;
    this.#world = world;
    this.id = id;
    this.cursors = cursors;
    this.rooms = new Set([id]);
    this.data = {
      actor: { id: user, role: "user" as const, session: user },
      expiresAt: null,
      handshake: null,
      follows: true,
      leftOut: 0,
    };
    server.sockets.set(id, this);
  }

  emit(name: string, data: unknown): void {
    if (this.disconnected) return;
    this.frames.push([name, structuredClone(data)]);
    const { stream, id } = data as { stream: string; id?: string };
    const project = PROJECTS.find((one) => stream === projectStream(one));
    if (project === undefined || id === undefined) return;
    if (this.#world.isLeaked(this.data.actor.id, project, id)) this.leaks.push(id);
  }

  join(room: string): void {
    this.rooms.add(room);
    this.#server.rooms.set(room, (this.#server.rooms.get(room) ?? new Set()).add(this.id));
  }

  leave(room: string): void {
    this.rooms.delete(room);
    const there = this.#server.rooms.get(room);
    there?.delete(this.id);
    if (there?.size === 0) this.#server.rooms.delete(room);
  }

  end(): void {
    this.disconnected = true;
    for (const room of this.rooms) this.leave(room);
    this.#server.sockets.delete(this.id);
  }
}

/** What a client makes of its frames: its place in each stream, and what was wrong on the way. */
function fold(client: Client): { places: Map<string, Position>; faults: string[] } {
  const places = new Map(client.cursors);
  const faults: string[] = [];
  for (const [name, data] of client.frames) {
    if (name === "ready")
      for (const [stream, { recovered, ...position }] of Object.entries<Position & { recovered: boolean }>(
        data.streams,
      )) {
        const place = places.get(stream);
        if (recovered && place?.id !== position.id)
          faults.push(`ready says ${stream} ${position.seq}, the client is at ${place?.seq}`);
        places.set(stream, position);
      }
    else if (name === "stream_closed") places.delete(data.stream);
    else {
      const place = places.get(data.stream);
      if (place === undefined)
        faults.push(`${data.stream} ${data.seq} comes before the client knows where it is`);
      else if (data.seq !== place.seq + 1) faults.push(`${data.stream} ${data.seq} comes after ${place.seq}`);
      places.set(data.stream, { seq: data.seq, id: data.id });
    }
  }
  return { places, faults };
}

type Step =
  | { kind: "connect"; user: number; behind: number | null }
  | { kind: "reconnect"; nth: number }
  | { kind: "leave"; nth: number }
  | { kind: "write"; project: number }
  | { kind: "member"; user: number; project: number; is: boolean }
  | { kind: "subscribe" | "unsubscribe"; nth: number; project: number }
  | { kind: "beat" | "back up" | "restore" };

const nth = fc.nat({ max: 3 });
/** The steps of a program, each kind by its weight, in so many projects of so many users. */
function stepsOf(weights: Partial<Record<Step["kind"], number>>, things = 2): fc.Arbitrary<Step[]> {
  const index = fc.constantFrom(0, ...Array(things).keys());
  const behind = fc.option(fc.nat({ max: 9 }));
  const kinds: Record<Step["kind"], fc.Arbitrary<object>> = {
    connect: fc.record({ user: index, behind }),
    reconnect: fc.record({ nth }),
    leave: fc.record({ nth }),
    write: fc.record({ project: index }),
    member: fc.record({ user: index, project: index, is: fc.boolean() }),
    subscribe: fc.record({ nth, project: index }),
    unsubscribe: fc.record({ nth, project: index }),
    beat: fc.record({}),
    "back up": fc.record({}),
    restore: fc.record({}),
  };
  const chosen = Object.entries(weights) as [Step["kind"], number][];
  const step = fc.oneof(
    ...chosen.map(([kind, weight]) => ({
      weight,
      arbitrary: kinds[kind].map((rest) => ({ kind, ...rest }) as Step),
    })),
  );
  return fc.array(step, { minLength: 4, maxLength: 24 });
}

/** Programs of everything, and programs that stay with one kind of trouble for long. */
const programs = fc.oneof(
  stepsOf({
    connect: 3,
    reconnect: 1,
    leave: 2,
    write: 6,
    member: 4,
    subscribe: 1,
    unsubscribe: 1,
    beat: 3,
    "back up": 1,
    restore: 1,
  }),
  stepsOf({ connect: 3, leave: 3, write: 5, beat: 3 }, 1),
  stepsOf({ connect: 2, member: 6, write: 2, beat: 2 }, 1),
  stepsOf({ connect: 2, write: 6, beat: 1, "back up": 1, restore: 2 }, 1),
);

interface Program {
  steps: Step[];
  /** Which hints are lost, in turn. */
  lost: boolean[];
  /** Which queries find Postgres away, in turn. */
  away: boolean[];
}

/** Runs a program under a schedule. @returns what is wrong at the end */
async function play(s: Scheduler, { steps, lost, away }: Program): Promise<string[]> {
  const world = new World();
  const server = new Server();
  const faults: string[] = [];
  const log = { warn: () => {}, error: () => {}, info: () => {}, debug: () => {} };
  let queries = 0;
  let isSettling = false;
  const db = scheduledDatabase(world, s, () => !isSettling && away[queries++ % away.length] === true);
  const streams = new Streams(db, server as unknown as PushServer, log as never);
  const clients: Client[] = [];
  let hints = 0;

  // Both begin as members of the first project, whose log takes several reads.
  for (const user of USERS) world.setMember(user, PROJECTS[0] as string, true);
  for (let n = 0; n < 8; n++) world.write(PROJECTS[0] as string);
  world.backUp();

  const hint = (events: CommittedEvent[]) => {
    // Some hints are lost, all may come late, in any order.
    if (events.length === 0 || lost[hints++ % lost.length] === true) return;
    for (const event of events)
      void s
        .schedule(Promise.resolve(), `hint ${event.stream} ${event.seq}`)
        .then(() => streams.offer([event]));
  };
  const open = (user: string, cursors: Map<string, Position>) => {
    const client = new Client(server, world, `socket-${clients.length}`, user, cursors);
    clients.push(client);
    const socket = client as unknown as ClientSocket;
    // It connects again, with what it has.
    streams.connect(socket, { token: "", streams: null, cursors }).catch(() => client.end());
  };
  const run = (step: Step): void => {
    switch (step.kind) {
      case "connect": {
        const user = USERS[step.user] as string;
        return open(user, step.behind === null ? new Map() : world.cursors(user, step.behind));
      }
      case "reconnect": {
        const client = clients[step.nth];
        if (client === undefined || client.disconnected) return;
        client.end();
        const { places } = fold(client);
        return open(client.data.actor.id, places);
      }
      case "leave":
        return clients[step.nth]?.end();
      case "write":
        return hint(world.write(PROJECTS[step.project] as string));
      case "member":
        return hint(world.setMember(USERS[step.user] as string, PROJECTS[step.project] as string, step.is));
      case "subscribe":
      case "unsubscribe": {
        const client = clients[step.nth];
        if (client === undefined || client.disconnected) return;
        const [socket, name] = [
          client as unknown as ClientSocket,
          projectStream(PROJECTS[step.project] as string),
        ];
        if (step.kind === "subscribe") {
          const announce = ({ places }: Joined) => streams.ready(socket, places);
          streams.join(socket, new Map([[name, null]]), announce).catch(() => {});
        } else {
          client.unsubscribed.add(name);
          void streams.leave(socket, name);
        }
        return;
      }
      case "back up":
        return world.backUp();
      case "restore":
        return world.restore();
      case "beat":
        void streams.beat().catch(() => {});
    }
  };
  const settle = async () => {
    for (let idle = 0; idle < 3;) {
      await macrotask();
      if (s.count() === 0) idle += 1;
      else {
        idle = 0;
        await s.waitOne();
      }
    }
  };

  for (const [nth, step] of steps.entries())
    void s.schedule(Promise.resolve(), `step ${nth}: ${step.kind}`).then(() => run(step));
  await settle();
  isSettling = true;
  // Whatever was lost, the beat finds.
  for (let beat = 0; beat < 3; beat++) {
    run({ kind: "beat" });
    await settle();
  }

  for (const client of clients) {
    const who = `${client.id} of ${client.data.actor.id}`;
    const { places, faults: found } = fold(client);
    faults.push(
      ...found.map((fault) => `${who}: ${fault}`),
      ...client.leaks.map((id) => `${who}: ${id} leaked`),
    );
    if (client.disconnected) continue;
    const readable = [
      userStream(client.data.actor.id),
      ...PROJECTS.filter((project) => world.isMember(client.data.actor.id, project)).map(projectStream),
    ];
    for (const stream of readable) {
      if (client.unsubscribed.has(stream)) continue;
      const [head, place] = [world.stream(stream).log.at(-1), places.get(stream)];
      if (place === undefined || place.id !== (head?.id ?? null))
        faults.push(
          `${who}: ${stream} is at ${head?.seq} ${head?.id}, the client at ${place?.seq} ${place?.id}`,
        );
    }
    for (const stream of places.keys())
      if (!readable.includes(stream) && !client.unsubscribed.has(stream))
        faults.push(`${who}: ${stream} was never closed`);
  }
  return faults;
}

describe("whatever the order in which queries, answers and hints come", () => {
  test("each client gets each event that its user may read once, in order, and none is missing", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.record({
          steps: programs,
          lost: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
          // Mostly there, and away for a query here and there.
          away: fc.oneof(
            { weight: 3, arbitrary: fc.constant<boolean[]>([false]) },
            {
              weight: 1,
              arbitrary: fc.array(
                fc.nat({ max: 5 }).map((n) => n === 0),
                { minLength: 4, maxLength: 12 },
              ),
            },
          ),
        }),
        async (s, program) => {
          expect(await play(s, program)).toEqual([]);
        },
      ),
      // `SEED=7 SCHEDULES=100000` plays others, or more of them.
      { seed: Number(process.env.SEED ?? 1), numRuns: Number(process.env.SCHEDULES ?? 3000) },
    );
  }, 60_000);
});
