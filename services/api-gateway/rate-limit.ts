/**
 * Rate limits (docs/reference.md, Rate limits). Three budgets, each a fixed window that opens with its first request:
 *
 *     default   requests of a user, or of an address without a login
 *     auth      the same, and stricter, for routes on which anyone may try a secret
 *     login     failed logins of an address at an account, and by a name
 *
 * All gateways count together in Redis, from which each takes a few points of a large budget ahead (leases.ts). While Redis is away, each gateway counts by itself and starts at zero: a client
 * may then use its budget once at each gateway, and no request fails or waits because of Redis.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { finished } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis } from "rate-limiter-flexible";
import type { Config } from "../../core/config.ts";
import { type Problem, retryLater } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Log } from "../../core/log.ts";
import type { Metrics } from "../../core/metrics.ts";
import { clientAddress } from "../../core/client-address.ts";
import { keyOf } from "../../core/text.ts";
import { connectRedis, RedisOutage } from "../../mixins/redis.ts";
import { type BudgetState, Leases, take } from "./leases.ts";
import type { Head } from "./response-head.ts";

/** Milliseconds that a request waits for Redis; a login asks it up to five times. */
const REDIS_TIMEOUT_MS = 50;
/** Milliseconds between two checks that Redis takes writes. */
const BEAT_MS = 1000;
/** Milliseconds that a login waits for an earlier one of the same address and name. */
const LOGIN_TURN_MS = 1000;

/** The budgets that requests cost; failed logins cost a third one. */
export type BudgetName = "default" | "auth";

/** What the limits tell the metrics. */
export interface LimitMetrics {
  /** Whether this gateway counts by itself because Redis is away. */
  fallback(on: boolean): void;
  refused(budget: string): void;
}

/** Declares the metrics of the limits (docs/metrics.md). */
export function measureLimits(metrics: Metrics): LimitMetrics {
  let isAlone = false;
  metrics.gauge(
    "taskwire_rate_limit_fallback",
    "1 while Redis is away and this gateway counts requests by itself",
    [],
    () => (isAlone ? 1 : 0),
  );
  const refused = metrics.counter("taskwire_rate_limited_total", "Requests refused with 429", ["budget"]);
  return {
    fallback: (on) => (isAlone = on),
    refused: (budget) => refused.inc({ budget }),
  };
}

/** A login in progress. It counts as failed until its outcome is known: parallel logins get no more guesses than others. */
export interface LoginAttempt {
  /**
   * The account has no guesses left, some of them by its other name: the login must fail. The client gets the response
   * of a wrong password, since 429 would reveal that both names belong to one account.
   */
  hopeless: boolean;
  /** Forgets the failures. */
  succeeded(): Promise<void>;
  /** Takes the failure back: the password was not compared. Never throws; the caller need not wait. */
  undecided(): void;
}

/** A request, and the head of its response so far. */
type Countable = IncomingMessage & { head: Head };

export interface RateLimits {
  /**
   * Takes one request from a budget, and puts `RateLimit-Policy` and `RateLimit` into the head of the response
   * (draft-ietf-httpapi-ratelimit-headers-11).
   * @param actor null for a client that is not logged in: its address counts
   * @param more further requests that this one stands for: it costs all of them, or none if the budget has too few left
   * @throws Problem rate-limited
   */
  admit(
    request: Countable,
    budget: BudgetName,
    actor: Actor | null | undefined,
    more?: number,
  ): Promise<void>;

  /**
   * Takes a failure in advance, before the password is compared. Logins of one address and name take turns.
   * @throws Problem rate-limited when the name is locked for the address; without a name, when the account is
   */
  beginLogin(request: Countable, response: ServerResponse, tried: TriedAccount): Promise<LoginAttempt>;

  close(): void;
}

/** The account that a password is tried at. */
export interface TriedAccount {
  /** The name in the request; null for a client that is logged in, from which the account is no secret. */
  name: string | null;
  /** The id of the account; the name again if no account has it, which is counted the same way. */
  account: string;
}

interface Budget {
  name: string;
  points: number;
  /** Seconds. */
  duration: number;
  limiter: RateLimiterAbstract;
  leases: Leases;
}

const UNLIMITED: RateLimits = {
  admit: async () => {},
  beginLogin: async () => ({ hopeless: false, succeeded: async () => {}, undecided: () => {} }),
  close: () => {},
};

/** The Redis client that counts, and a check each second that Redis takes writes. */
function connect(url: string, beatKey: string, log: Log, metrics: LimitMetrics) {
  const outage = new RedisOutage(log, {
    away: "this gateway counts requests by itself",
    back: "the gateways count requests together",
    onChange: (isAway) => metrics.fallback(isAway),
  });
  const redis = connectRedis(url, outage, {
    commandTimeout: REDIS_TIMEOUT_MS,
    disconnectTimeout: REDIS_TIMEOUT_MS,
  });
  // A Redis that is full or a replica answers, but takes no writes: it cannot count.
  const write = () => redis.set(beatKey, "", "PX", 2 * BEAT_MS);
  const check = async () => {
    if (redis.status !== "ready") return;
    try {
      // Twice: a machine that others use too may stop Redis for a moment.
      await write().catch(write);
      outage.ended();
    } catch (error) {
      const { message } = error as Error;
      outage.began(message);
      // A Redis that hangs costs each request the timeout; without a connection, requests do not wait.
      if (redis.status === "ready" && message === "Command timed out") redis.disconnect(true);
    }
  };
  redis.on("close", () => outage.began("the connection closed"));
  redis.on("ready", () => void check());
  const beat = setInterval(() => void check(), BEAT_MS);
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
const secondsLeft = ({ msBeforeNext }: BudgetState): number => Math.max(1, Math.ceil(msBeforeNext / 1000));

/** Adds the state of a budget to the head, in place of what it said of this budget before. */
function setLimitHeaders(
  head: Head,
  { name, points, duration }: Pick<Budget, "name" | "points" | "duration">,
  state: BudgetState,
): void {
  const set = (header: "RateLimit-Policy" | "RateLimit", value: string): void => {
    const others = [head[header] ?? []].flat().filter((other) => !other.startsWith(`"${name}"`));
    head[header] = others.length === 0 ? value : [...others, value];
  };
  set("RateLimit-Policy", `"${name}";q=${points};w=${duration}`);
  set("RateLimit", `"${name}";r=${state.remainingPoints};t=${secondsLeft(state)}`);
}

/** Lets the logins of one key run one after the other; each waits LOGIN_TURN_MS at most. */
function loginQueue() {
  const last = new Map<string, Promise<void>>();
  /** @returns ends the turn */
  return async (key: string): Promise<() => void> => {
    const before = last.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    last.set(key, promise);
    if (before !== undefined) await Promise.race([before, delay(LOGIN_TURN_MS, undefined, { ref: false })]);
    return () => {
      if (last.get(key) === promise) last.delete(key);
      resolve();
    };
  };
}

/** The limits of one gateway. With a REDIS_URL it starts to connect, and does not wait for the connection. */
export function createRateLimits(config: Config, log: Log, metrics: LimitMetrics): RateLimits {
  if (config.RATE_LIMIT === "off") return UNLIMITED;
  const prefix = `${config.NAMESPACE}:rate-limit`;
  const shared = config.REDIS_URL === "" ? null : connect(config.REDIS_URL, `${prefix}:beat`, log, metrics);

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
    return { name, points, duration, limiter, leases: new Leases(limiter, points) };
  }

  const budgets = {
    default: budget("default", config.RATE_LIMIT_DEFAULT),
    auth: budget("auth", config.RATE_LIMIT_AUTH),
  };
  const failures = budget("login", config.RATE_LIMIT_LOGIN_FAILURES);
  const addressOf = (request: Countable) => clientAddress(request, config);
  const takeTurn = loginQueue();

  const refuse = (name: string, state: BudgetState, detail: string): Problem => {
    metrics.refused(name);
    return retryLater("rate-limited", detail, secondsLeft(state));
  };

  return {
    async admit(request, name, actor, more) {
      const counted = budgets[name];
      const key = actor ? `user:${actor.id}` : `address:${addressOf(request)}`;
      // A request that stands for more than the whole budget costs the whole budget.
      const points = more === undefined ? 1 : Math.min(more, counted.points - 1);
      if (points === 0) return;
      const { state, enough } =
        more === undefined ? await counted.leases.take(key) : await take(counted.limiter, key, points);
      if (!enough && more !== undefined) {
        // The request is not carried out: smaller ones may use what it took.
        const { remainingPoints } = await counted.limiter.reward(key, points);
        setLimitHeaders(request.head, counted, { ...state, remainingPoints });
        throw refuse(
          counted.name,
          state,
          `This request counts as ${more + 1} requests. You have ${Math.max(0, remainingPoints)} left of ${counted.points} in ${counted.duration} seconds`,
        );
      }
      setLimitHeaders(request.head, counted, state);
      if (!enough)
        throw refuse(
          counted.name,
          state,
          `You sent more than ${counted.points} requests in ${counted.duration} seconds`,
        );
    },

    async beginLogin(request, response, { name, account }) {
      const address = addressOf(request);
      // Hashed: names have any length, and Redis stores no e-mail addresses.
      const key = (kind: string, text: string) =>
        `${address}:${kind}:${createHash("sha256").update(keyOf(text)).digest("base64url")}`;
      const unnamed = name === null ? [] : [key("account", account)];
      const named = name === null ? key("account", account) : key("name", name);
      // By the name alone: if both names of an account shared a turn, the wait would reveal that they belong together.
      const endTurn = await takeTurn(named);
      finished(response, endTurn);
      const { state, enough } = await take(failures.limiter, named);
      if (!enough) {
        setLimitHeaders(request.head, failures, state);
        throw refuse(failures.name, state, "Too many failed logins to this account from this address");
      }
      const others = await Promise.all(unnamed.map((one) => take(failures.limiter, one)));
      const keys = [named, ...unnamed];
      return {
        hopeless: others.some((other) => !other.enough),
        succeeded: async () => void (await Promise.all(keys.map((one) => failures.limiter.delete(one)))),
        undecided: () => void keys.map((one) => failures.limiter.reward(one)),
      };
    },

    close: () => shared?.close(),
  };
}
