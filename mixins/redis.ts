import { Redis, type RedisOptions } from "ioredis";
import { sentinelOptions } from "../core/redis-options.ts";
import type { Log } from "../core/log.ts";

/** What an outage means to the owner of a client; each text ends a log line. */
interface Meaning {
  /** "nothing is cached" */
  away: string;
  /** "answers are cached again" */
  back: string;
  onChange?(isAway: boolean): void;
}

/** Owns the errors of one or more clients: one log line when Redis goes away, one when it is back. */
export class RedisOutage {
  readonly #log: Log;
  readonly #meaning: Meaning;
  #isAway = false;
  #stopped = false;

  constructor(log: Log, meaning: Meaning) {
    this.#log = log;
    this.#meaning = meaning;
  }

  began(reason: string): void {
    if (this.#isAway || this.#stopped) return;
    this.#isAway = true;
    this.#log.warn(`Redis is away, ${this.#meaning.away}: ${reason}`);
    this.#meaning.onChange?.(true);
  }

  ended(): void {
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#log.info(`Redis is back, ${this.#meaning.back}`);
    this.#meaning.onChange?.(false);
  }

  /** Says no more: a client that its owner closes is no outage. */
  stop(): void {
    this.#stopped = true;
  }
}

/**
 * Bounds the time of a command by Redis' lateness alone. ioredis' own `commandTimeout` goes by a timer, and a process that stood
 * still runs its timers before it reads what has come meanwhile: answers that are there would be thrown away.
 */
class PatientRedis extends Redis {
  /** Milliseconds after which a command fails. */
  patienceMs: number | undefined = undefined;

  override sendCommand(...args: Parameters<Redis["sendCommand"]>): unknown {
    const [command] = args;
    const answer = super.sendCommand(...args);
    if (this.patienceMs === undefined) return answer;
    const giveUp = (): void => {
      if (!command.isResolved) command.reject(new Error("Command timed out"));
    };
    // What has arrived is read between the timers and the immediates.
    const timer = setTimeout(() => setImmediate(giveUp), this.patienceMs);
    const end = (): void => clearTimeout(timer);
    command.promise.then(end, end);
    return answer;
  }
}

/**
 * A client that reconnects for ever, within a second of Redis' return, also to another master than before. Its commands fail at once while Redis is away,
 * so that nothing waits in memory. Its owner calls `outage.ended`, and decides what counts as being back.
 * @param options of ioredis; `commandTimeout` is kept by PatientRedis
 */
export function connectRedis(
  url: string,
  outage: RedisOutage,
  { commandTimeout, ...options }: RedisOptions = {},
): Redis {
  const settings: RedisOptions = {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 1000,
    retryStrategy: (attempt) => Math.min(attempt * 100, 1000),
    // A master that became a replica: behind the name, or by the Sentinels, there is another one.
    reconnectOnError: ({ message }) => message.includes("READONLY"),
    ...options,
  };
  const sentinels = sentinelOptions(url);
  const client =
    sentinels === null ? new PatientRedis(url, settings) : new PatientRedis({ ...settings, ...sentinels });
  client.patienceMs = commandTimeout;
  // An error that no listener takes would end the process.
  client.on("error", ({ message }) => outage.began(message));
  return client;
}
