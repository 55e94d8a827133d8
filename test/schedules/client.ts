/** A server with rooms, and clients that remember their frames, in place of socket.io. */
import type { Position } from "../../core/events.ts";
import { projectStream } from "../../mixins/event-log.ts";
import type { StreamPosition } from "../../services/notifier/notifier.contract.ts";
import { PROJECTS, type World } from "./world.ts";

export class Server {
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

type Frame =
  | { name: "ready"; data: { streams: Record<string, StreamPosition> } }
  | { name: "stream_closed"; data: { stream: string } }
  | { name: "event"; data: { stream: string; seq: number; id: string } };

/** One connection of a client, and what came over it. */
export class Client {
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
    const kind = name === "ready" || name === "stream_closed" ? name : "event";
    this.frames.push({ name: kind, data: structuredClone(data) } as Frame);
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
export function fold(client: Client, world: World): { places: Map<string, Position>; faults: string[] } {
  const places = new Map(client.cursors);
  const faults: string[] = [];
  const unanswered = new Set(client.cursors.keys());
  for (const { name, data } of client.frames) {
    if (name === "ready")
      for (const [stream, { recovered, ...position }] of Object.entries(data.streams)) {
        const place = places.get(stream);
        if (recovered && place?.id !== position.id)
          faults.push(`ready says ${stream} ${position.seq}, the client is at ${place?.seq}`);
        if (!recovered && world.isWhole && unanswered.has(stream))
          faults.push(`${stream} was not recovered without need`);
        unanswered.delete(stream);
        places.set(stream, position);
      }
    else if (name === "stream_closed") {
      places.delete(data.stream);
      unanswered.delete(data.stream);
    } else {
      const { stream, seq, id } = data;
      const place = places.get(stream);
      if (place === undefined) faults.push(`${stream} ${seq} comes before the client knows where it is`);
      else if (seq !== place.seq + 1 || world.previous.get(id) !== place.id)
        faults.push(`${stream} ${seq} ${id} comes after ${place.seq} ${place.id}`);
      places.set(stream, { seq, id });
    }
  }
  return { places, faults };
}
