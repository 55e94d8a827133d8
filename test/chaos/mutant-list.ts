/** Mutants: the product with one mistake, and the proof that has to find it. */

export interface Edit {
  file: string;
  /** What the file says, once. */
  from: string;
  to: string;
}

export interface Mutant {
  edits: Edit[];
  /** A run of chaos under these faults (`none` for a run without any), or many schedules. */
  foundBy: { faults: string } | "schedules";
}

const STREAMS = "services/notifier/streams.ts";
const JOINS = "services/notifier/joins.ts";
const REPLAY = "services/notifier/replay.ts";
const TAILS = "services/notifier/tails.ts";
const ROOMS = "services/notifier/rooms.ts";
const TAIL = "services/notifier/stream-tail.ts";
const LOG = "mixins/event-log.ts";
const READS = "mixins/event-log.queries.ts";
const DATABASE = "mixins/database.ts";

const byChaos = (faults: string, ...edits: Edit[]): Mutant => ({ edits, foundBy: { faults } });
const bySchedules = (...edits: Edit[]): Mutant => ({ edits, foundBy: "schedules" });

export const MUTANTS: Record<string, Mutant> = {
  "no beat": bySchedules({
    file: "services/notifier/beat-questions.ts",
    from: 'if (tail.state === "idle") continue;',
    to: "if (tail.state) continue;",
  }),
  "no place for a hint": byChaos("redis-cut,redis-unsubscribed", {
    file: TAIL,
    from: "if (event.seq === seq + 1 && previous_id === id) {",
    to: "if (event.seq > 0 || previous_id === id) {",
  }),
  "a removed member keeps the stream": byChaos("none", {
    file: STREAMS,
    from: "this.#rooms.leave(socket, name);\n    tell(socket.conn, ",
    to: "tell(socket.conn, ",
  }),
  "a removed member is not told": byChaos("none", {
    file: STREAMS,
    from: 'tell(socket.conn, "stream_closed", {',
    to: 'tell(socket.conn, "stream_shut" as "stream_closed", {',
  }),
  "a cursor is off by one": byChaos("mass-reconnect", {
    file: REPLAY,
    from: "let position = cursor;",
    to: "let position = cursor && { seq: Math.max(0, cursor.seq - 1), id: null };",
  }),
  "a replay forgets its last event": byChaos("mass-reconnect", {
    file: REPLAY,
    from: "      sendPage(socket, events);",
    to: "      sendPage(socket, events.slice(0, -1));",
  }),
  "sessions end nowhere": byChaos("none", {
    file: "services/notifier/revocations.ts",
    from: "if (sessions.has(socket.data.actor.session))",
    to: 'if (sessions.has("nobody"))',
  }),
  "keys are not kept": byChaos("gateway-killed,tasks-killed,nats-cut,nats-one-way", {
    file: "mixins/idempotency.ts",
    from: "WHERE k.key IS NOT NULL AND",
    to: "WHERE k.key IS NULL AND",
  }),
  "reads are not anchored": byChaos("postgres-restored", {
    file: READS,
    from: "return id === null || first.id === id ? rest : null;",
    to: "return rest;",
  }),
  "publish before commit": byChaos("tasks-killed,projects-killed", {
    file: DATABASE,
    from: 'await sendHere({ text: "COMMIT" });',
    to: 'const release = client.release; client.release = () => {}; setTimeout(() => void client.query("COMMIT").catch(() => {}).finally(() => release()), 150);',
  }),
  // The number is taken before the stream's row is locked.
  nextval: byChaos(
    "none",
    {
      file: "migrations/0022-traceparent.sql",
      from: "ALTER TABLE events.log",
      to: "CREATE SEQUENCE events.numbers INCREMENT BY 200;\nALTER TABLE events.log",
    },
    {
      file: LOG,
      from: "SELECT stream, count(*), sum(access)",
      to: "SELECT stream, nextval('events.numbers'), sum(access)",
    },
    { file: LOG, from: "SET head = s.head + excluded.head,", to: "SET head = excluded.head," },
  ),

  // The faults of an outside run, put back.
  "two joins at once": bySchedules({
    file: JOINS,
    from: "(this.#turns.get(socket) ?? Promise.resolve()).then(",
    to: "Promise.resolve().then(",
  }),
  "memberships are read before the own stream is joined": bySchedules({
    file: STREAMS,
    from: "await entries.get(own)?.opened;\n      return release;",
    to: "release();\n      return () => {};",
  }),
  "a read outlives its entry": bySchedules(
    { file: TAILS, from: " && this.#entries.get(name) === entry) {", to: ") {" },
    {
      file: TAILS,
      from: "if (this.#entries.get(name) !== entry) return;\n    this.#metrics.delivered",
      to: "this.#metrics.delivered",
    },
  ),
  "ready tells the position of the join": bySchedules(
    {
      file: REPLAY,
      from: "enter(rooms, socket, name, entry, true) :",
      to: "{ ...enter(rooms, socket, name, entry, true), at: tail.last } :",
    },
    {
      file: STREAMS,
      from: "for (const [name, { recovered }] of",
      to: "for (const [name, { recovered, at }] of",
    },
    {
      file: STREAMS,
      from: "{ ...entry.tail.last, recovered };",
      to: "{ ...(at ?? entry.tail.last), recovered };",
    },
  ),
  "a read is not anchored": bySchedules({
    file: READS,
    from: "return id === null || first.id === id ? rest : null;",
    to: "return rest;",
  }),
  "a hint without the id before it": bySchedules({
    file: TAIL,
    from: "event.seq === seq + 1 && previous_id === id",
    to: "event.seq === seq + 1",
  }),
  "a head without its id": bySchedules({
    file: TAIL,
    from: "head.seq < seq || (head.seq === seq && head.id !== id)",
    to: "head.seq < seq",
  }),
  "a cursor without its id": bySchedules({
    file: REPLAY,
    from: "seq === last.seq && (id === null || last.id === null || id === last.id)",
    to: "seq === last.seq",
  }),

  // The log.
  "a cursor of 0 passes over what was forgotten": bySchedules({
    file: READS,
    from: "return id === null && first.seq === seq + 1 ? events : null;",
    to: "return id === null && (seq === 0 || first.seq === seq + 1) ? events : null;",
  }),
  "a head behind the tail is no doubt": bySchedules({
    file: TAIL,
    from: "head.seq < seq || (head.seq === seq && head.id !== id)",
    to: "head.seq === seq && head.id !== id",
  }),
  "a log that lacks what was announced is whole": bySchedules({
    file: TAIL,
    from: "if (events === null || isShort)",
    to: "if (events === null)",
  }),
  "a new history keeps what the old one announced": bySchedules({
    file: TAIL,
    from: "      this.#known = 0;\n",
    to: "",
  }),
  "hints are not compared with the last event": bySchedules({
    file: TAIL,
    from: "    return this.#replayIfBehind();\n  }\n\n  /** The stream's head",
    to: "    return { ...NOTHING, deliver: [event] };\n  }\n\n  /** The stream's head",
  }),

  // Access.
  "an event that moves access makes no join ask again": bySchedules({
    file: STREAMS,
    from: "entry.epoch += 1;\n    if (!isEvent",
    to: "if (!isEvent",
  }),
  "a recheck makes no join ask again": bySchedules({
    file: STREAMS,
    from: "entry: Entry): Promise<void> {\n    entry.epoch += 1;",
    to: "entry: Entry): Promise<void> {",
  }),
  "a removed member leaves after the event": bySchedules({
    file: STREAMS,
    from: "if (movesAccess(event)) this.#beforeAccessChange(name, entry, event);\n      this.#rooms.push(name, event);",
    to: "this.#rooms.push(name, event);\n      if (movesAccess(event)) this.#beforeAccessChange(name, entry, event);",
  }),
  "a page of another history is sent unseen": bySchedules({
    file: REPLAY,
    from: "if (events.some(movesAccess) && !(await readableStreams(db, actor, [name])).has(name)) return null;",
    to: "",
  }),
  "a join is announced without another look": bySchedules({
    file: JOINS,
    from: "if (rewritten.length + stale.length === 0 || socket.disconnected) return current;",
    to: "return current;",
  }),
  "the beat does not check access": bySchedules({
    file: TAILS,
    from: "\n      await this.#recheck(head, entry);\n    this",
    to: " {}\n    this",
  }),
  "the beat asks what it asked before": bySchedules({
    file: "services/notifier/beat-questions.ts",
    from: "        this.#places[size] !== place ||\n",
    to: "",
  }),
  "the beat knows the answer to a question from another history": bySchedules({
    file: READS,
    from: "session === null ? null : `${session} ${snapshot}`",
    to: "session === null ? null : snapshot",
  }),
  "the beat knows the answer to another question": bySchedules({
    file: "services/notifier/beat-questions.ts",
    from: "    this.#restedAt = null;\n",
    to: "",
  }),
  "another history is sent before access is checked": bySchedules({
    file: TAILS,
    from: "          await this.#recheck(head, entry);\n          step",
    to: "          step",
  }),

  // Turns of a large room.
  "a socket that enters between two turns gets what it has": bySchedules({
    file: ROOMS,
    from: "room.sockets.set(socket, seq);\n    socket.data",
    to: "room.sockets.set(socket, room.last - room.pending.length);\n    socket.data",
  }),
  "ready overtakes the events before it": bySchedules({
    file: STREAMS,
    from: "      this.#rooms.settle(socket, name);\n      positions",
    to: "      positions",
  }),
  "an event of the next turn overtakes the one before it": bySchedules({
    file: ROOMS,
    from: "const frames = room.pending.slice(room.pending.length - (room.last - seq));",
    to: "const frames = room.pending.slice(-1);",
  }),
  "a pass ends for the sockets that it reached too early": bySchedules({
    file: ROOMS,
    from: "if (done === true) return this.#end(room, upTo);",
    to: "if (done === true) return this.#end(room, room.last);",
  }),

  // Memberships.
  "a closed stream is not asked for again": bySchedules({
    file: STREAMS,
    from: "    this.#gain(socket, async () => [name]);\n",
    to: "",
  }),
  "a connecting socket gains nothing": bySchedules({
    file: STREAMS,
    from: "for (const socket of [...this.#rooms.of(name), ...(this.#outside.get(name) ?? [])])\n      this.#gain",
    to: "for (const socket of this.#rooms.of(name))\n      this.#gain",
  }),
  "a connecting socket does not hear that its own stream was lost": bySchedules({
    file: STREAMS,
    from: "for (const socket of [...this.#rooms.of(name), ...(this.#outside.get(name) ?? [])])\n        if",
    to: "for (const socket of this.#rooms.of(name))\n        if",
  }),
  "an own stream that was lost changes no membership": bySchedules({
    file: STREAMS,
    from: "if (name === userStream(socket.data.actor.id)) this.#followAll(socket);",
    to: "continue;",
  }),
  "a socket is let in by what its tails have not seen": bySchedules({
    file: JOINS,
    from: "await this.#tails.catchUp(new Map(due), heads);",
    to: "",
  }),
  "memberships are ahead of the own stream after a gain": bySchedules({
    file: STREAMS,
    from: "        });\n        await this.#settle(socket);\n",
    to: "        });\n",
  }),
  "a join asks who may read before its tails are open": bySchedules({
    file: JOINS,
    from: "    await this.#tails.whenOpen(names);\n",
    to: "",
  }),
  "memberships are read before the own stream is followed": bySchedules({
    file: STREAMS,
    from: "      await this.#tails.whenOpen([own]);\n",
    to: "",
  }),
  "a join that read two histories goes on": bySchedules({
    file: JOINS,
    from: "if (interruptions !== this.#db.interruptions) closeConnection(socket);",
    to: "",
  }),
};
