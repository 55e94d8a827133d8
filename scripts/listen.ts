/**
 * `npm run listen -- <access_token> [http://127.0.0.1:3000] [stream …]`: a socket.io client that prints every event,
 * one a line, until Ctrl-C. It keeps a cursor for each stream and resumes from there, as a client should.
 */
import { io } from "socket.io-client";
import { EVENT_TYPES, type LoggedEvent } from "../mixins/event-log.ts";

const [token, url = "http://127.0.0.1:3000", ...streams] = process.argv.slice(2);
if (token === undefined) {
  console.error("Say whose events: npm run listen -- <access_token> [url] [stream …]");
  process.exit(1);
}

const cursors: Record<string, number> = {};
const socket = io(url, {
  path: "/ws",
  transports: ["websocket"],
  // Asked anew at each connection, so that a second one resumes after what the first one got.
  auth: (send) => send({ token, cursors, ...(streams.length > 0 && { streams }) }),
});

socket.on("ready", (frame: { streams: Record<string, { seq: number; recovered: boolean }> }) => {
  for (const [name, { seq, recovered }] of Object.entries(frame.streams)) {
    if (name in cursors && !recovered) console.log(`${name}: events are missing, fetch the state by REST`);
    cursors[name] = seq;
    console.log(`ready   ${name} at ${seq}`);
  }
});
for (const type of EVENT_TYPES)
  socket.on(type, ({ stream, seq, data }: LoggedEvent) => {
    cursors[stream] = seq;
    const { task, member } = data as { task?: { title: string }; member?: { user_id: string } };
    console.log(`${stream} #${seq} ${type} ${task?.title ?? member?.user_id ?? ""}`);
  });
socket.on("stream_closed", ({ stream }: { stream: string }) => console.log(`closed  ${stream}`));
socket.on("token_expired", () => console.log("the token has expired: log in again"));
socket.on("connect_error", (error: Error & { data?: { title: string; detail: string } }) => {
  console.error(error.data ? `${error.data.title}: ${error.data.detail}` : `${url}: ${error.message}`);
  // A refusal is final; a server that is away is tried again.
  if (error.data) process.exit(1);
});
socket.on("disconnect", (reason) => {
  console.log(`disconnected (${reason}), connecting again`);
  if (reason === "io server disconnect") socket.connect();
});
