/**
 * What `npm run bench:sockets` measures Taskwire's notifier against, each in a process of its own: bare socket.io, and bare
 * `ws`. Both verify the token of a socket and let it into the rooms that it names, and send what their parent says to a room.
 * They have no database, keep no order between processes, and forget what nobody heard.
 */
import { createSecretKey } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import jwt from "jsonwebtoken";
import { Server } from "socket.io";
import { type WebSocket, WebSocketServer } from "ws";

export interface PeerAuth {
  token: string;
  rooms: string[];
}

/** One event for a room: its title says when it was sent. */
export interface Emission {
  room: string;
  title: string;
}

const key = createSecretKey(Buffer.from(process.env.JWT_SECRET ?? ""));
const verify = (token: string): string =>
  String((jwt.verify(token, key, { algorithms: ["HS256"] }) as jwt.JwtPayload).sub);

const numbers = new Map<string, number>();
/** As long as Taskwire's. */
function eventOf({ room, title }: Emission): object {
  const seq = (numbers.get(room) ?? 0) + 1;
  numbers.set(room, seq);
  const id = "0198c0de-0000-7000-8000-000000000000";
  const time = new Date().toISOString();
  const task = {
    id,
    title,
    description: null,
    status: "pending",
    priority: "medium",
    project_id: id,
    category_id: null,
    created_by: id,
    assigned_to: null,
    due_date: null,
    completed_at: null,
    position: "a0",
    version: 1,
    created_at: time,
    updated_at: time,
  };
  const event = { id, stream: room, seq, type: "task_created", time, actor_id: id, request_id: id };
  return { ...event, data: { task } };
}

const server = createServer();
let emit: (emission: Emission) => void = () => {};

function serveSocketIo(): void {
  const io = new Server(server, { path: "/ws", serveClient: false });
  io.use((socket, next) => {
    try {
      socket.data = verify((socket.handshake.auth as PeerAuth).token);
      next();
    } catch (error) {
      next(error as Error);
    }
  });
  io.on("connection", (socket) => {
    void socket.join((socket.handshake.auth as PeerAuth).rooms);
    socket.emit("ready", { streams: {} });
  });
  emit = (emission) => void io.to(emission.room).emit("task_created", eventOf(emission));
}

function serveWs(): void {
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  const rooms = new Map<string, Set<WebSocket>>();
  sockets.on("connection", (socket) => {
    socket.on("message", (data: Buffer) => {
      const auth = JSON.parse(data.toString().slice(2)) as PeerAuth;
      verify(auth.token);
      for (const room of auth.rooms) rooms.set(room, (rooms.get(room) ?? new Set()).add(socket));
      socket.on("close", () => auth.rooms.forEach((room) => rooms.get(room)?.delete(socket)));
      socket.send('42["ready",{"streams":{}}]');
    });
    // engine.io's first packet, which has the clients send their token.
    socket.send("0{}");
  });
  emit = (emission) => {
    const text = `42${JSON.stringify(["task_created", eventOf(emission)])}`;
    rooms.get(emission.room)?.forEach((socket) => socket.send(text));
  };
}

if (process.argv[2] === "socket.io") serveSocketIo();
else if (process.argv[2] === "ws") serveWs();

if (process.argv[2] !== undefined) {
  process.on("message", ({ emissions = [] }: { emissions?: Emission[] }) => emissions.forEach(emit));
  process.once("disconnect", () => process.exit());
  server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
}
