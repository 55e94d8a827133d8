/**
 * The floor of `npm run bench:latency`, in a process of its own: it subscribes to a channel of Redis and sends each message
 * to all bare WebSockets, and does nothing else. It tells its parent the port that it listens on, and ends with it.
 */
import type { AddressInfo } from "node:net";
import { Redis } from "ioredis";
import { WebSocketServer } from "ws";

const [url, channel] = process.argv.slice(2) as [string, string];

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
const redis = new Redis(url);
redis.on("message", (_channel, message) => server.clients.forEach((client) => client.send(message)));
await redis.subscribe(channel);
process.once("disconnect", () => process.exit());
process.send?.((server.address() as AddressInfo).port);
