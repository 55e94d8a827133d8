/**
 * Rate limits (docs/reference.md, Rate limits). Three budgets, each a fixed window that opens with its first request:
 *
 *     default   requests of a user, or of an address where nobody is logged in
 *     auth      the same for routes that take a secret from anybody, and stricter
 *     login     failed logins of an address at an account, and by a name
 *
 * All gateways count in Redis together. While Redis is away each counts by itself from nothing: a client may then get
 * its budget once from each gateway, and nobody is refused or kept waiting because of Redis.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { finished } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
} from "rate-limiter-flexible";
import type { Config } from "../../core/config.ts";
import { type Problem, retryLater } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Log } from "../../core/log.ts";
import { clientAddress } from "../../core/client-address.ts";
import { keyOf } from "../../core/text.ts";
import { connectRedis, RedisOutage } from "../../mixins/redis.ts";

/** Milliseconds that a request waits for Redis; a login asks it up to five times. */
const REDIS_TIMEOUT = 50;
/** Milliseconds between two looks at whether Redis counts. */
const BEAT = 1000;
/** Milliseconds that a login waits for another one of the same pair. */
const TURN = 1000;

/** The budgets that requests cost; failed logins have one of their own. */
export type BudgetName = "default" | "auth";

/** Told what operators want to see (docs/reference.md, Health and metrics). */
export interface Watch {
  /** Whether this gateway counts by itself because Redis is away. */
  fallback(on: boolean): void;
  refused(budget: string): void;
}

/** The same as Moleculer's metrics, which are there only where the broker has them switched on. */
export function measureLimits(
  metrics: Pick<ServiceBroker["metrics"], "register" | "set" | "increment">,
): Watch {
  metrics.register({
    type: "gauge",
    name: "rate_limit.fallback",
    description: "1 while Redis is away and this gateway counts requests by itself",
  });
  metrics.register({
    type: "counter",
    name: "rate_limit.refused",
    labelNames: ["budget"],
    description: "Requests answered 429",
  });
  metrics.set("rate_limit.fallback", 0);
  return {
    fallback: (on) => metrics.set("rate_limit.fallback", on ? 1 : 0),
    refused: (budget) => metrics.increment("rate_limit.refused", { budget }),
  };
}

/** A login under way. It counts as failed until it is said how it ended: many at once get no more guesses than one by one. */
export interface LoginAttempt {
  /**
   * The account had all its guesses, some by another of its names: whatever comes now is wrong. It must be answered as
   * a wrong password is, since 429 would tell that both names are one account's.
   */
  hopeless: boolean;
  /** Forgets the failures. */
  succeeded(): Promise<void>;
  /** It was not decided whether the password is right. Never throws and needs no waiting for. */
  undecided(): void;
}

export interface RateLimits {
  /**
   * Takes one request from its budget, and tells what is left in `RateLimit-Policy` and `RateLimit`
   * (draft-ietf-httpapi-ratelimit-headers-11).
   * @param actor null where nobody is logged in: the client's address counts
   * @param more requests that this one does in one: it costs them too, and where they are not left, none of them
   * @throws Problem rate-limited
   */
  admit(
    request: IncomingMessage,
    response: ServerResponse,
    budget: BudgetName,
    actor: Actor | null | undefined,
    more?: number,
  ): Promise<void>;

  /**
   * Before a password is looked at. Those of the same address and name go one after the other.
   * @throws Problem rate-limited when the name is locked for the address, or the account where no name was given
   */
  beginLogin(request: IncomingMessage, response: ServerResponse, tried: TriedAccount): Promise<LoginAttempt>;

  close(): void;
}

/** The account that a password is tried at. */
export interface TriedAccount {
  /** The name that the client wrote; null where it is logged in, and the account no secret. */
  name: string | null;
  /** The account's id, or the name again where there is no such account: it is counted like any other. */
  account: string;
}

interface Budget {
  name: string;
  points: number;
  /** Seconds. */
  duration: number;
  limiter: RateLimiterAbstract;
}

const UNLIMITED: RateLimits = {
  admit: async () => {},
  beginLogin: async () => ({ hopeless: false, succeeded: async () => {}, undecided: () => {} }),
  close: () => {},
};

/** The client that counts, and a look each second at whether it does. */
function connect(url: string, beatKey: string, log: Log, watch: Watch) {
  const outage = new RedisOutage(log, {
    away: "this gateway counts requests by itself",
    back: "the gateways count requests together",
    onChange: (isAway) => watch.fallback(isAway),
  });
  const redis = connectRedis(url, outage, {
    commandTimeout: REDIS_TIMEOUT,
    disconnectTimeout: REDIS_TIMEOUT,
  });
  // A Redis that answers and takes no writes (full, a replica) does not count either.
  const write = () => redis.set(beatKey, "", "PX", 2 * BEAT);
  const look = async () => {
    if (redis.status !== "ready") return;
    try {
      // Twice: after a long turn of the event loop its own timers come before an answer that is already there.
      await write().catch(write);
      outage.ended();
    } catch (error) {
      const { message } = error as Error;
      outage.began(message);
      // One that hangs would cost each request the timeout: while there is no connection nobody waits.
      if (redis.status === "ready" && message === "Command timed out") redis.disconnect(true);
    }
  };
  redis.on("close", () => outage.began("the connection closed"));
  redis.on("ready", () => void look());
  const beat = setInterval(() => void look(), BEAT);
  return {
    redis,
    close() {
      outage.stop();
      clearInterval(beat);
      redis.disconnect();
    },
  };
}

/** Seconds until the window ends, never 0. */
const secondsLeft = ({ msBeforeNext }: RateLimiterRes): number => Math.max(1, Math.ceil(msBeforeNext / 1000));

/** Takes a point, or several. */
async function take(
  { limiter }: Budget,
  key: string,
  points = 1,
): Promise<{ state: RateLimiterRes; enough: boolean }> {
  try {
    return { state: await limiter.consume(key, points), enough: true };
  } catch (state) {
    // Any other error was met by the insurance.
    if (state instanceof RateLimiterRes) return { state, enough: false };
    throw state;
  }
}

function tell(response: ServerResponse, { name, points, duration }: Budget, state: RateLimiterRes): void {
  const set = (header: string, value: string) => {
    const others = [response.getHeader(header) ?? []].flat().map(String);
    response.setHeader(header, [...others.filter((other) => !other.startsWith(`"${name}"`)), value]);
  };
  set("RateLimit-Policy", `"${name}";q=${points};w=${duration}`);
  set("RateLimit", `"${name}";r=${state.remainingPoints};t=${secondsLeft(state)}`);
}

/** One after the other for each key, but nobody waits for ever. */
function turns() {
  const last = new Map<string, Promise<void>>();
  /** @returns ends the turn */
  return async (key: string): Promise<() => void> => {
    const before = last.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    last.set(key, promise);
    if (before !== undefined) await Promise.race([before, delay(TURN, undefined, { ref: false })]);
    return () => {
      if (last.get(key) === promise) last.delete(key);
      resolve();
    };
  };
}

/** The limits of one gateway. With a REDIS_URL it connects at once, and never waits for that. */
export function createRateLimits(config: Config, log: Log, watch: Watch): RateLimits {
  if (config.RATE_LIMIT === "off") return UNLIMITED;
  const prefix = `${config.NAMESPACE}:rate-limit`;
  const shared = config.REDIS_URL === "" ? null : connect(config.REDIS_URL, `${prefix}:beat`, log, watch);

  function budget(name: string, { points, duration }: { points: number; duration: number }): Budget {
    const options = { keyPrefix: `${prefix}:${name}`, points, duration };
    const own = new RateLimiterMemory(options);
    const limiter =
      shared === null
        ? own
        : new RateLimiterRedis({
            ...options,
            storeClient: shared.redis,
            rejectIfRedisNotReady: true,
            insuranceLimiter: own,
          });
    return { name, points, duration, limiter };
  }

  const budgets = {
    default: budget("default", config.RATE_LIMIT_DEFAULT),
    auth: budget("auth", config.RATE_LIMIT_AUTH),
  };
  const failures = budget("login", config.RATE_LIMIT_LOGIN_FAILURES);
  const addressOf = (request: IncomingMessage) => clientAddress(request, config);
  const takeTurn = turns();

  const refuse = (name: string, state: RateLimiterRes, detail: string): Problem => {
    watch.refused(name);
    return retryLater("rate-limited", detail, secondsLeft(state));
  };

  return {
    async admit(request, response, name, actor, more) {
      const counted = budgets[name];
      const key = actor ? `user:${actor.id}` : `address:${addressOf(request)}`;
      // What does more than a whole budget holds costs a whole one.
      const points = more === undefined ? 1 : Math.min(more, counted.points - 1);
      if (points === 0) return;
      const { state, enough } = await take(counted, key, points);
      if (!enough && more !== undefined) {
        // The request did nothing, and leaves the budget to smaller ones.
        const { remainingPoints } = await counted.limiter.reward(key, points);
        tell(response, counted, { ...state, remainingPoints } as RateLimiterRes);
        throw refuse(
          counted.name,
          state,
          `This request counts as ${more + 1} requests, and ${Math.max(0, remainingPoints)} of ${counted.points} in ${counted.duration} seconds are left`,
        );
      }
      tell(response, counted, state);
      if (!enough)
        throw refuse(
          counted.name,
          state,
          `More than ${counted.points} requests in ${counted.duration} seconds`,
        );
    },

    async beginLogin(request, response, { name, account }) {
      const address = addressOf(request);
      // Hashed: of any length, and nobody's e-mail address is left lying in Redis.
      const key = (kind: string, text: string) =>
        `${address}:${kind}:${createHash("sha256").update(keyOf(text)).digest("base64url")}`;
      const silent = name === null ? [] : [key("account", account)];
      const told = name === null ? key("account", account) : key("name", name);
      // By the name alone: were it by the account, two names that wait for each other would tell that they are one's.
      const endTurn = await takeTurn(told);
      finished(response, endTurn);
      const { state, enough } = await take(failures, told);
      if (!enough) {
        tell(response, failures, state);
        throw refuse(failures.name, state, "Too many failed logins to this account from this address");
      }
      const others = await Promise.all(silent.map((one) => take(failures, one)));
      const keys = [told, ...silent];
      return {
        hopeless: others.some((other) => !other.enough),
        succeeded: async () => void (await Promise.all(keys.map((one) => failures.limiter.delete(one)))),
        undecided: () => void keys.map((one) => failures.limiter.reward(one)),
      };
    },

    close: () => shared?.close(),
  };
}
