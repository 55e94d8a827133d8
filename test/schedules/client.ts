/** Clients that remember their frames, in place of socket.io's sockets. */
import type { Position } from "../../core/events.ts";
import { projectStream } from "../../mixins/event-log.ts";
import type { StreamPosition } from "../../services/notifier/notifier.contract.ts";
import { PROJECTS, type World } from "./world.ts";

type Frame =
  | { name: "ready"; data: { streams: Record<string, StreamPosition> } }
  | { name: "stream_closed"; data: { stream: string } }
  | { name: "event"; data: { stream: string; seq: number; id: string } };

/** One connection of a client, and what came over it. */
export class Client {
  readonly frames: Frame[] = [];
  disconnected = false;
  readonly conn = {
    writeBuffer: [],
    transport: {},
    close: () => this.end(),
    // An event comes as socket.io's packet.
    write: (packet: string) => this.emit(...(JSON.parse(packet.slice(1)) as [string, unknown])),
  };
  readonly data;
  readonly #world: World;
  readonly #onEnd: () => void;
  readonly id: string;
  readonly cursors: Map<string, Position>;
  readonly leaks: string[] = [];
  /** Streams that it left by itself, which it may get back or not. */
  readonly unsubscribed = new Set<string>();

  /** @param onEnd called when the connection has ended */
  constructor(
    world: World,
    id: string,
    user: string,
    cursors: Map<string, Position>,
    onEnd: (client: Client) => void,
  ) {
    this.#world = world;
    this.id = id;
    this.cursors = cursors;
    this.#onEnd = () => onEnd(this);
    this.data = {
      actor: { id: user, role: "user" as const, session: user },
      expiresAt: null,
      handshake: null,
      follows: true,
      streams: new Set<string>(),
      leftOut: 0,
    };
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

  end(): void {
    this.disconnected = true;
    this.#onEnd();
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
