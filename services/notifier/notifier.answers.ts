/** What clients send to a socket and get from it, in addition to events. The AsyncAPI document is made of it. */
import type { ProblemCode, ProblemDocument } from "../../core/errors.ts";
import {
  array,
  boolean,
  exampleOf,
  integer,
  nullable,
  object,
  problem,
  type Schema,
  text,
  timestamp,
  uuid,
} from "../../core/json-schema.ts";
import type {
  Frames,
  HandshakeAuth,
  Ready,
  SocketRequests,
  StreamClosed,
  StreamPosition,
} from "./notifier.contract.ts";

const STREAM = "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21";
const EVENT_ID = "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76";
const TOKEN = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";

const stream = text(STREAM, "`project:<id>` or `user:<id>`.");

const {
  instance: _instance,
  request_id: _requestId,
  results: _results,
  ...problemFields
} = problem.properties as Record<keyof ProblemDocument, Schema>;

/** A problem on a socket: it belongs to no HTTP request. */
const socketProblem = object<Omit<ProblemDocument, "instance" | "request_id" | "results">>(
  "SocketProblem",
  problemFields,
  ["resource", "errors"],
);

const position = {
  seq: integer(42, "The number of the stream's last event; 0 when there is none."),
  id: nullable(uuid(EVENT_ID, "The id of the event `seq`; null when there is none.")),
  recovered: boolean(
    true,
    "True: everything after the client's cursor was sent. False: fetch the state, then go on from `seq`.",
  ),
};

/** A cursor with the id that is compared, or the number alone. */
const cursor: Schema = {
  title: "Cursor",
  description: "The last event that the client has: `{seq, id}`, or its `seq` alone, which is not compared.",
  anyOf: [
    {
      type: "object",
      properties: { seq: integer(41), id: nullable(uuid(EVENT_ID)) },
      required: ["seq"],
    },
    integer(41),
  ],
  examples: [{ seq: 41, id: EVENT_ID }],
};

/** An object with the names of streams as keys. */
const byStream = (value: Schema): Schema => ({
  type: "object",
  additionalProperties: value,
  examples: [{ [STREAM]: exampleOf(value) }],
});

export interface Described {
  summary: string;
  schema: Schema;
}

export const frames: { readonly [Name in keyof Frames]: Described } = {
  ready: {
    summary: "These streams are live. `recovered` says whether each goes on from the client's cursor.",
    schema: object<Ready>(
      "Ready",
      {
        streams: byStream(object<StreamPosition>("StreamPosition", position)),
        left_out: {
          type: "integer",
          minimum: 1,
          description: "How many streams the socket has no room for.",
        },
      },
      ["left_out"],
    ),
  },
  stream_closed: {
    summary: "The user may not read this stream any more. The socket stays, and so do its other streams.",
    schema: object<StreamClosed>("StreamClosed", { stream, problem: socketProblem }),
  },
  session_ended: {
    summary: "The session or the personal token has ended. The server disconnects; the client logs in first.",
    schema: socketProblem,
  },
  token_expired: {
    summary: "The token ran out and was not renewed. The server disconnects; the client refreshes it first.",
    schema: socketProblem,
  },
};

/** `auth` in socket.io's CONNECT packet. */
export const handshake: Described & { problems: readonly ProblemCode[] } = {
  summary: "Opens the socket.",
  schema: object<HandshakeAuth>(
    "Handshake",
    {
      token: text(TOKEN, "An access token, or a personal access token (`twp_…`)."),
      streams: {
        ...nullable(array(stream)),
        description:
          "The streams to join; null or absent for the user's own and those of the user's projects.",
      },
      cursors: { ...byStream(cursor), description: "Where the client is in each stream." },
    },
    ["streams", "cursors"],
  ),
  problems: [
    "unauthenticated",
    "invalid-token",
    "validation-failed",
    "too-many-streams",
    "rate-limited",
    "internal-error",
  ],
};

/** The data of socket.io's CONNECT_ERROR packet. */
export const refusal: Described = {
  summary:
    "The socket is refused. After 429, and from 500 on, the client waits and connects again; otherwise it changes first what the problem names.",
  schema: object<{ message: string; data: ProblemDocument }>("Refusal", {
    message: text("refused"),
    data: socketProblem,
  }),
};

export interface RequestDocs {
  summary: string;
  request: Schema;
  /** The acknowledgement of a success. */
  done: Schema;
  /** In addition to `rate-limited`, and to those of services that are away. */
  problems: readonly ProblemCode[];
}

type Request<Name extends keyof SocketRequests> = SocketRequests[Name]["request"];
type Done<Name extends keyof SocketRequests> = SocketRequests[Name]["done"];

export const requests: { readonly [Name in keyof SocketRequests]: RequestDocs } = {
  subscribe: {
    summary: "Joins one more stream. Events after the cursor come before the acknowledgement.",
    request: object<Request<"subscribe">>("Subscribe", { stream, cursor }, ["cursor"]),
    done: object<Done<"subscribe">>("Subscribed", { stream, ...position }),
    problems: ["validation-failed", "not-found", "conflict", "too-many-streams"],
  },
  unsubscribe: {
    summary: "Leaves a stream: nothing of it comes after the acknowledgement.",
    request: object<Request<"unsubscribe">>("Unsubscribe", { stream }),
    done: object<Done<"unsubscribe">>("Unsubscribed", { stream }),
    problems: ["validation-failed"],
  },
  authenticate: {
    summary: "Gives the socket a new token of the same user before the old one runs out.",
    request: object<Request<"authenticate">>("Authenticate", { token: text(TOKEN) }),
    done: object<Done<"authenticate">>("Authenticated", {
      expires_at: nullable(
        timestamp("2026-11-21T09:45:00.000Z", "Null for a personal token that never expires."),
      ),
    }),
    problems: ["invalid-token"],
  },
};

/** The acknowledgement of a request that failed. */
export const failed: Described = {
  summary: "The request failed, and changed nothing.",
  schema: object<{ problem: ProblemDocument }>("Failed", { problem: socketProblem }),
};
