/**
 * `npm run listen -- <access_token> [http://127.0.0.1:3000] [stream …]`: a socket.io client that prints every event,
 * one a line, until Ctrl-C. It keeps a cursor for each stream and resumes from there, as a client should. Without a URL
 * it connects to PORT, or to the first notifier of `npm run cluster` when the gateway at PORT has no sockets.
 */
import { io } from "socket.io-client";
import { originOf, taskwireUrl } from "../core/origin.ts";
import { printable } from "../core/text.ts";
import type { LoggedEvent, Position } from "../core/events.ts";
import { EVENT_TYPES } from "../services/events.ts";

const [token, ...rest] = process.argv.slice(2);
const argument = rest[0]?.includes("://") ? rest.shift() : undefined;
const streams = rest;

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

/** Whether a socket server answers at `url`. */
const hasSockets = (url: string): Promise<boolean> =>
  fetch(`${url}/ws/?EIO=4&transport=polling`).then(
    (response) => response.ok,
    () => false,
  );

/** The URL of the sockets. The cluster's first notifier has the port after its gateway's. */
async function findSockets(): Promise<string> {
  const url = taskwireUrl(argument, process.env);
  if (argument !== undefined || (await hasSockets(url))) return url;
  const notifier = originOf(process.env.HOST || "127.0.0.1", Number(process.env.PORT || 3000) + 1);
  return (await hasSockets(notifier)) ? notifier : url;
}

if (token === undefined || token === "") fail("Usage: npm run listen -- <access_token> [url] [stream …]");
const url = await findSockets().catch((error: unknown) => fail((error as Error).message));

const cursors: Record<string, Position> = {};
const socket = io(url, {
  path: "/ws",
  transports: ["websocket"],
  // The client calls this at each connection, so that it resumes after the last events.
  auth: (send) => send({ token, cursors, ...(streams.length > 0 && { streams }) }),
});

socket.on("ready", (frame: { streams: Record<string, Position & { recovered: boolean }> }) => {
  for (const [name, { seq, id, recovered }] of Object.entries(frame.streams)) {
    if (name in cursors && !recovered) console.log(`${name}: events are missing, fetch the state by REST`);
    cursors[name] = { seq, id };
    console.log(`stream  ${name} at ${seq}`);
  }
  console.log(`ready   ${Object.keys(frame.streams).length} streams of ${url} are live`);
});
for (const type of EVENT_TYPES)
  socket.on(type, ({ stream, seq, id, data }: LoggedEvent) => {
    cursors[stream] = { seq, id };
    const { task, member } = data as { task?: { title: string }; member?: { user_id: string } };
    console.log(printable(`${stream} #${seq} ${type} ${task?.title ?? member?.user_id ?? ""}`));
  });
socket.on("stream_closed", ({ stream }: { stream: string }) => console.log(`closed  ${stream}`));
for (const frame of ["token_expired", "session_ended"])
  socket.on(frame, ({ detail }: { detail: string }) => console.log(printable(detail)));
socket.on("connect_error", (error: Error & { data?: { title: string; detail: string } }) => {
  const { data, message } = error;
  console.error(printable(data ? `${data.title}: ${data.detail}` : `${url}: ${message}`));
  // A refusal is final; the client retries a server that is away.
  if (data) process.exit(1);
});
socket.on("disconnect", (reason) => {
  // The only final end; after any other the client connects again by itself.
  if (reason === "io server disconnect") process.exit(1);
  console.log(`disconnected (${reason}), connecting again`);
});
