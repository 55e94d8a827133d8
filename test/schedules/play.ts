/**
 * Races by schedule, not by luck: a scheduler holds back each query's execution, each query's answer and each hint, and
 * releases them in every order that its seed says. Postgres is a model in memory; `Streams` is the real one. Whatever the
 * order, a client ends with what its user may read: each event once, in order, none missing.
 */
import { setImmediate as macrotask } from "node:timers/promises";
import fc, { type Scheduler } from "fast-check";
import { Problem } from "../../core/errors.ts";
import type { CommittedEvent, Position } from "../../core/events.ts";
import type { Database, Statement } from "../../mixins/database.ts";
import { projectStream } from "../../mixins/event-log.ts";
import { UNMEASURED } from "../../services/notifier/notifier-metrics.ts";
import { Rooms } from "../../services/notifier/rooms.ts";
import type { ClientSocket } from "../../services/notifier/sockets.ts";
import { Streams } from "../../services/notifier/streams.ts";
import { Client, fold } from "./client.ts";
import { type Program, programs, type Step } from "./programs.ts";
import { PROJECTS, USERS, World } from "./world.ts";

/** Moments that others have before a late answer comes. */
const LATE_MOMENTS = 20;

/** Moments in which everything that is under way has to end. */
const MOST_MOMENTS = 5000;

/** Executes at one scheduled moment, and answers at a later one. */
const scheduledDatabase = (world: World, s: Scheduler, isAway: () => boolean, isSlow: () => boolean) =>
  ({
    async query(statement: Statement) {
      await s.schedule(Promise.resolve(), `execute ${statement.name}`);
      if (isAway()) throw new Problem("database-unavailable");
      const rows = structuredClone(world.answer(statement));
      for (let moments = isSlow() ? LATE_MOMENTS : 1; moments > 0; moments--)
        await s.schedule(Promise.resolve(), `answer ${statement.name}`);
      return rows;
    },
    get interruptions() {
      return world.interruptions;
    },
  }) as unknown as Database;

const socketOf = (client: Client): ClientSocket => client as unknown as ClientSocket;

/** What is wrong with a client once everything has come to rest. */
function faultsOf(client: Client, world: World): string[] {
  const { places, faults } = fold(client, world);
  faults.push(...client.leaks.map((id) => `${id} leaked`));
  if (client.disconnected) return faults;
  const readable = world.readable(client.data.actor.id);
  for (const stream of readable) {
    if (client.unsubscribed.has(stream)) continue;
    const [head, place] = [world.head(stream), places.get(stream)];
    if (place?.id !== head.id)
      faults.push(`${stream} is at ${head.seq} ${head.id}, the client at ${place?.seq} ${place?.id}`);
  }
  for (const stream of places.keys())
    if (!readable.includes(stream) && !client.unsubscribed.has(stream))
      faults.push(`${stream} was never closed`);
  return faults;
}

/** Runs a program under a schedule. @returns what is wrong at the end */
async function play(s: Scheduler, { steps, lost, away, slow }: Program): Promise<string[]> {
  const world = new World();
  let isSettling = false;
  const [isAway, isSlow, isLost] = [away, slow, lost].map((pattern) => {
    let nth = 0;
    return () => !isSettling && pattern[nth++ % pattern.length] === true;
  }) as [() => boolean, () => boolean, () => boolean];
  const db = scheduledDatabase(world, s, isAway, isSlow);
  // Each socket of a room is written in a turn of its own: anything may happen between two of them.
  const streams = new Streams(db, { warn: () => {} }, UNMEASURED, new Rooms(0));
  const clients: Client[] = [];

  // Both begin as members of the first project, whose log takes several reads.
  for (const user of USERS) world.setMember(user, PROJECTS[0], true);
  for (let n = 0; n < 8; n++) world.write(PROJECTS[0]);

  const hint = (events: CommittedEvent[]): void => {
    // Some hints are lost, all may come late, in any order.
    if (events.length === 0 || isLost()) return;
    for (const event of events)
      void s
        .schedule(Promise.resolve(), `hint ${event.stream} ${event.seq}`)
        .then(() => streams.offer([event]));
  };
  const open = (user: string, cursors: Map<string, Position>): void => {
    const forget = (client: Client) => streams.forget(socketOf(client));
    const client = new Client(world, `socket-${clients.length}`, user, cursors, forget);
    clients.push(client);
    streams.connect(socketOf(client), { token: "", streams: null, cursors }).catch(() => client.end());
  };
  const openClient = (nth: number): Client | undefined =>
    clients[nth]?.disconnected === false ? clients[nth] : undefined;

  const run = (step: Exclude<Step, { kind: "rest" }>): void => {
    switch (step.kind) {
      case "connect": {
        const user = USERS[step.user] as string;
        return open(user, step.behind === null ? new Map() : world.cursors(user, step.behind));
      }
      case "reconnect": {
        const client = openClient(step.nth);
        if (client === undefined) return;
        client.end();
        // It connects again, with what it has.
        return open(client.data.actor.id, fold(client, world).places);
      }
      case "leave":
        return clients[step.nth]?.end();
      case "write":
        return hint(world.write(PROJECTS[step.project] as string));
      case "forget":
        return world.forget(PROJECTS[step.project] as string);
      case "member":
        return hint(world.setMember(USERS[step.user] as string, PROJECTS[step.project] as string, step.is));
      case "subscribe": {
        const client = openClient(step.nth);
        if (client === undefined) return;
        const socket = socketOf(client);
        const wanted = new Map([[projectStream(PROJECTS[step.project] as string), null]]);
        streams.join(socket, wanted, ({ places }) => streams.ready(socket, places)).catch(() => {});
        return;
      }
      case "unsubscribe": {
        const client = openClient(step.nth);
        if (client === undefined) return;
        const name = projectStream(PROJECTS[step.project] as string);
        client.unsubscribed.add(name);
        return void streams.leave(socketOf(client), name);
      }
      case "restore":
        return world.restore(step.behind);
      case "beat": {
        const { interruptions } = world;
        streams.beat().then(
          () => world.beatEnded(interruptions),
          () => {},
        );
        return;
      }
    }
  };
  const settle = async (): Promise<void> => {
    for (let [idle, moments] = [0, 0]; idle < 3; moments++) {
      if (moments > MOST_MOMENTS) throw new Error("it does not come to rest");
      await macrotask();
      if (s.count() === 0) idle += 1;
      else {
        idle = 0;
        await s.waitOne();
      }
    }
  };

  for (const step of steps) {
    if (step.kind === "rest") await settle();
    else {
      let isRun = false;
      void s
        .schedule(Promise.resolve(), step.kind)
        .then(() => run(step))
        .finally(() => (isRun = true));
      while (!isRun) {
        if (s.count() > 0) await s.waitOne();
        await macrotask();
      }
    }
  }
  await settle();
  isSettling = true;
  // Whatever was lost, the beat finds.
  for (let beat = 0; beat < 3; beat++) {
    run({ kind: "beat" });
    await settle();
  }
  return clients.flatMap((client) =>
    faultsOf(client, world).map((fault) => `${client.id} of ${client.data.actor.id}: ${fault}`),
  );
}

/** Holds for a scheduler and a program if nothing is wrong at the end. */
export const nothingIsWrong = fc.asyncProperty(fc.scheduler(), programs, async (s, program) => {
  const faults = await play(s, program);
  if (faults.length > 0) throw new Error(faults.join("\n"));
});
