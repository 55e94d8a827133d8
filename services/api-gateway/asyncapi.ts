/**
 * The AsyncAPI 3.0 document of the sockets. It is made of the events' declarations and of what the notifier says of its
 * frames and requests. `npm run openapi` writes it to docs/asyncapi.json.
 */
import { exampleOf, type Schema } from "../../core/json-schema.ts";
import { EVENT_SCHEMAS, EVENT_TYPES } from "../events.ts";
import {
  type Described,
  failed,
  frames,
  handshake,
  refusal,
  requests,
} from "../notifier/notifier.answers.ts";
import { hoist, type Json } from "./openapi-components.ts";

const CHANNEL = "#/channels/socket";
const messagesOf = (names: string[]): Json[] =>
  names.map((name) => ({ $ref: `${CHANNEL}/messages/${name}` }));

const problems = (codes: readonly string[]): string =>
  `Problems: ${codes.map((code) => `[${code}](/problems/${code})`).join(", ")}.`;

function message(name: string, { summary, schema }: Described, description?: string): Json {
  return {
    name,
    title: name,
    summary,
    ...(description !== undefined && { description }),
    payload: schema,
    examples: [{ payload: exampleOf(schema) }],
  };
}

/** A request that the client sends, and the messages of which one answers it. */
const receive = (name: string, summary: string, answers: string[]): Json => ({
  action: "receive",
  channel: { $ref: CHANNEL },
  summary,
  messages: messagesOf([name]),
  reply: { channel: { $ref: CHANNEL }, messages: messagesOf(answers) },
});

const send = (summary: string, names: string[]): Json => ({
  action: "send",
  channel: { $ref: CHANNEL },
  summary,
  messages: messagesOf(names),
});

const doneOf = (request: string): string => `${request}_done`;

export function asyncApi(): Json {
  const events = EVENT_TYPES.map((type, at): [string, Json] => {
    const schema = EVENT_SCHEMAS[at] as Schema & { description: string };
    return [type, message(type, { summary: schema.description, schema })];
  });
  const asked = Object.entries(requests);
  const messages: Record<string, Json> = Object.fromEntries([
    ["connect", message("connect", handshake, problems(handshake.problems))],
    ["connect_error", message("connect_error", refusal)],
    ...Object.entries(frames).map(([name, frame]): [string, Json] => [name, message(name, frame)]),
    ...events,
    ...asked.flatMap(([name, { summary, request, done, problems: codes }]): [string, Json][] => [
      [name, message(name, { summary, schema: request }, problems([...codes, "rate-limited"]))],
      [doneOf(name), message(doneOf(name), { summary: `\`${name}\` was done.`, schema: done })],
    ]),
    ["failed", message("failed", failed)],
  ]);
  const schemas: Json = {};
  const hoisted = hoistPayloads(messages, schemas);
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Taskwire events",
      version: "1.0.0",
      description:
        "Taskwire pushes events through socket.io 4 at `/ws`. A connected client gets every event of its streams once, in order. [Events and frames](/docs/events) shows this document; [Write your own client](/docs/client) explains the protocol under it, and has test vectors.",
      license: { name: "MIT", url: "https://opensource.org/license/mit" },
    },
    defaultContentType: "application/json",
    servers: {
      server: {
        host: "{host}",
        pathname: "/ws/",
        protocol: "wss",
        description: "socket.io 4 (engine.io 4). WebSocket first; HTTP long polling is allowed.",
        variables: { host: { description: "The host, and the port, of the server." } },
        security: [{ $ref: "#/components/securitySchemes/token" }],
      },
    },
    channels: {
      socket: {
        address: "/",
        title: "The socket",
        description:
          "The main namespace of socket.io. It carries all streams of a user, each with its own numbers.",
        messages: Object.fromEntries(
          Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]),
        ),
      },
    },
    operations: {
      connect: receive("connect", handshake.summary, ["ready", "connect_error"]),
      ...Object.fromEntries(
        asked.map(([name, { summary }]) => [name, receive(name, summary, [doneOf(name), "failed"])]),
      ),
      events: send("Events of the streams that the socket has.", EVENT_TYPES),
      frames: send("What happens to the socket and its streams.", Object.keys(frames)),
    },
    components: {
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description: "Sent as `auth.token` of the handshake: an access token, or a personal access token.",
        },
      },
      messages: hoisted,
      schemas,
    },
  };
}

/** The messages with references to `schemas` in place of their payloads. */
const hoistPayloads = (messages: Record<string, Json>, schemas: Json): Json =>
  Object.fromEntries(
    Object.entries(messages).map(([name, one]) => [name, { ...one, payload: hoist(one.payload, schemas) }]),
  );
