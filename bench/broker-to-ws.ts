/**
 * The floors of `npm run bench:latency`, in a process of its own: it subscribes to a channel of Redis and to a subject of NATS,
 * sends each message to all bare WebSockets, and does nothing else. It tells its parent the port that it listens on, and ends
 * with it.
 */
import type { AddressInfo } from "node:net";
import { Redis } from "ioredis";
import { connect } from "nats";
import { WebSocketServer } from "ws";
import { natsOptions } from "../core/nats-options.ts";

const [redisUrl, natsUrl, channel] = process.argv.slice(2) as [string, string, string];

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
const pass = (message: string): void => server.clients.forEach((client) => client.send(message));
const redis = new Redis(redisUrl);
redis.on("message", (_channel, message) => pass(message));
await redis.subscribe(channel);
const nats = await connect(natsOptions(natsUrl));
nats.subscribe(channel, { callback: (_error, message) => pass(message.string()) });
await nats.flush();
process.once("disconnect", () => process.exit());
process.send?.((server.address() as AddressInfo).port);
