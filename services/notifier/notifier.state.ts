import type { Server as HttpServer } from "node:http";
import type { Duplex } from "node:stream";
import type { Service } from "moleculer";
import type { Config } from "../../core/config.ts";
import type { WithDatabase } from "../../mixins/database.ts";
import type { RevocationFeed } from "../../mixins/revocations.ts";
import type { Identity } from "./authenticate.ts";
import type { SocketEndpoint } from "./endpoint.ts";
import type { Expiries } from "./expiries.ts";
import type { HintListener } from "./hint-listener.ts";
import type { NotifierMetrics } from "./notifier-metrics.ts";
import type { RedisAdapter } from "./redis-adapter.ts";
import type { SocketLog } from "./socket-log.ts";
import type { ClientSocket, PushServer } from "./sockets.ts";
import type { Streams } from "./streams.ts";
import type { UserLimits } from "./user-limits.ts";
import type { Waits } from "./waits.ts";

export interface NotifierState extends WithDatabase {
  config: Pick<Config, "SOCKETS_PER_USER">;
  io: PushServer;
  endpoint: SocketEndpoint;
  authenticate(token: string): Promise<Identity>;
  /** Answers the requests of all sockets. */
  onRequest: (this: ClientSocket, name: string, ...sent: unknown[]) => void;
  limits: UserLimits;
  expiries: Expiries;
  /** Whether rate limits are on: `limits` counts in any case, and refuses nothing when they are off. */
  isLimited: boolean;
  streams: Streams;
  metrics: NotifierMetrics;
  socketLog: SocketLog;
  /** Requests that wait for events. */
  waits: Waits;
  revocations: RevocationFeed;
  /** Listens to hints while a stream is followed. */
  hints: HintListener;
  /** The nodes whose notifier listens to hints, as the last beat knew them. */
  listeners: string[];
  /** Null without Redis. */
  adapter: RedisAdapter | null;
  stopBeat(): void;
  /** Only without a gateway in this process, whose server would carry the sockets. */
  ownServer?: HttpServer;
  /** The connections of sockets that use WebSocket. */
  upgraded: Set<Duplex>;
}

export type Notifier = Service & NotifierState;
