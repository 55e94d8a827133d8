/** What the page keeps of the streams: events that came live, and those that it read out of the log. */
import { type createClient, type TaskwireEvent, unwrap } from "../../client/src/index.ts";

export type Client = ReturnType<typeof createClient>;

/** A line of the table: an event, or a state of the connection. */
export type Line =
  | { key: string; kind: "event"; how: "live" | "log"; event: TaskwireEvent }
  | { key: string; kind: "frame"; time: string; words: string };

/** The page keeps so many lines; the log keeps all. */
const KEPT = 1000;
export const PAGE = 100;

export const lineOf = (event: TaskwireEvent, how: "live" | "log"): Line => ({
  key: `${event.stream} ${event.seq} ${event.id}`,
  kind: "event",
  how,
  event,
});

const timeOf = (line: Line): number => Date.parse(line.kind === "event" ? line.event.time : line.time);

/** Newest first; an event that is there already stays as it came first. Nodes bear times, so `seq` decides in a stream. */
export function addLines(lines: readonly Line[], more: readonly Line[]): readonly Line[] {
  const known = new Set(lines.map(({ key }) => key));
  const fresh = more.filter(({ key }) => !known.has(key));
  if (fresh.length === 0) return lines;
  return [...lines, ...fresh]
    .sort((a, b) =>
      a.kind === "event" && b.kind === "event" && a.event.stream === b.event.stream
        ? b.event.seq - a.event.seq
        : timeOf(b) - timeOf(a),
    )
    .slice(0, KEPT);
}

/**
 * The events of a stream after a position, at most `PAGE` of them.
 * @param stream `project:<id>`, or `user:<id>` of the reader
 */
export async function readAfter(
  client: Client,
  stream: string,
  after: number,
  limit = PAGE,
): Promise<{ items: TaskwireEvent[]; head: number }> {
  const [kind, id = ""] = stream.split(":");
  const query = { after: String(after), limit };
  return kind === "project"
    ? unwrap(client.rest.GET("/projects/{project}/events", { params: { path: { project: id }, query } }))
    : unwrap(client.rest.GET("/events", { params: { query } }));
}

/** The last events of a stream. */
export async function readEnd(client: Client, stream: string, count: number): Promise<TaskwireEvent[]> {
  const { head } = await readAfter(client, stream, 0, 1);
  return (await readAfter(client, stream, Math.max(0, head - count), count)).items;
}

/** What a client that has this event sends to go on from it: by socket.io, and as it stands on the wire. */
export function resumption({ stream, seq, id }: TaskwireEvent): { code: string; wire: string } {
  const cursors = { [stream]: { seq, id } };
  return {
    code: `io("${location.origin}", {
  path: "/ws",
  transports: ["websocket"],
  auth: {
    token,
    cursors: ${JSON.stringify(cursors, null, 2).replaceAll("\n", "\n    ")},
  },
});`,
    wire: `40${JSON.stringify({ token: "…", cursors })}`,
  };
}
