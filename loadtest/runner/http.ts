/** `k6/http`, over undici: each virtual user has connections of its own, kept alive, as in k6. */
import { Pool } from "undici";
import type { Context } from "./virtual-user.ts";

/** Connections that a virtual user opens to one server: k6's `batchPerHost`. */
const CONNECTIONS = 6;
/** Milliseconds: k6's default timeout. */
const TIMEOUT_MS = 60_000;
/** k6's error code of a request without a response. */
const NO_RESPONSE = 1000;

export interface Response {
  /** 0 where no response came. */
  status: number;
  /** Always text here; k6 has other types of response too. */
  body: string | ArrayBuffer | null;
  error: string;
  error_code: number;
  /** By names as k6 writes them, `Retry-After`. */
  headers: Record<string, string>;
  /** Milliseconds. */
  timings: { duration: number; blocked: number; waiting: number; receiving: number };
  json(): unknown;
}

export interface Params {
  headers?: Record<string, string>;
  tags?: Record<string, string>;
  responseCallback?: ExpectedStatuses;
}

/** Says which statuses do not count as failed. As in k6, a script can only pass it on. */
export type ExpectedStatuses = Record<string, never>;

export interface HttpModule {
  asyncRequest(method: string, url: string, body?: string | null, params?: Params): Promise<Response>;
  expectedStatuses(...statuses: number[]): ExpectedStatuses;
}

const expectations = new WeakMap<ExpectedStatuses, number[]>();

function isExpected(status: number, expected: ExpectedStatuses | undefined): boolean {
  const statuses = expected === undefined ? undefined : expectations.get(expected);
  return statuses?.includes(status) ?? (status >= 200 && status < 400);
}

/** `retry-after` as `Retry-After`. */
const canonical = (name: string): string =>
  name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase());

interface Outcome {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  error: string;
  /** By performance.now; in this order. */
  asked: number;
  sent: number;
  answered: number;
  ended: number;
}

function responseOf(outcome: Outcome): Response {
  const { status, headers, body, error, asked, sent, answered, ended } = outcome;
  return {
    status,
    body,
    error,
    error_code: error === "" ? 0 : NO_RESPONSE,
    get headers() {
      return Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [canonical(name), [value].flat().join(", ")]),
      );
    },
    timings: {
      duration: ended - sent,
      blocked: sent - asked,
      waiting: answered - sent,
      receiving: ended - answered,
    },
    json: () => JSON.parse(body) as unknown,
  };
}

/** Sends a request and reads the whole response; it never rejects. */
function exchange(
  pool: Pool,
  method: string,
  path: string,
  body: string | null,
  headers: Record<string, string>,
): Promise<Outcome> {
  const asked = performance.now();
  const outcome: Outcome = {
    status: 0,
    headers: {},
    body: "",
    error: "",
    asked,
    sent: asked,
    answered: asked,
    ended: 0,
  };
  const chunks: Buffer[] = [];
  return new Promise((resolve) => {
    const end = (error: string): void => {
      outcome.ended = performance.now();
      if (error !== "") Object.assign(outcome, { error, status: 0, answered: outcome.ended });
      else outcome.body = chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString();
      resolve(outcome);
    };
    pool.dispatch(
      { method, path, headers, body },
      {
        onRequestStart: () => void (outcome.sent = performance.now()),
        onResponseStart(_controller, statusCode, received) {
          Object.assign(outcome, { status: statusCode, headers: received, answered: performance.now() });
        },
        onResponseData: (_controller, chunk) => void chunks.push(chunk),
        onResponseEnd: () => end(""),
        onResponseError: (_controller, error) => end(error.message === "" ? error.name : error.message),
      },
    );
  });
}

export function httpModule(vu: Context): HttpModule {
  const pools = new Map<string, Pool>();
  function poolOf(origin: string): Pool {
    const pool =
      pools.get(origin) ??
      new Pool(origin, { connections: CONNECTIONS, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
    if (!pools.has(origin)) {
      pools.set(origin, pool);
      vu.onEnd(() => void pool.destroy());
    }
    return pool;
  }

  return {
    async asyncRequest(method, url, body = null, { headers = {}, tags = {}, responseCallback } = {}) {
      const { origin, pathname, search } = new URL(url);
      const outcome = await exchange(poolOf(origin), method, pathname + search, body, headers);
      const response = responseOf(outcome);
      const expected = isExpected(response.status, responseCallback);
      const sample = {
        ...vu.tags(),
        method,
        status: String(response.status),
        expected_response: String(expected),
        ...tags,
      };
      vu.metrics.add("http_reqs", 1, sample);
      vu.metrics.add("http_req_failed", Number(!expected), sample);
      for (const part of ["duration", "blocked", "waiting", "receiving"] as const)
        vu.metrics.add(`http_req_${part}`, response.timings[part], sample);
      vu.metrics.add("data_sent", Buffer.byteLength(body ?? ""), sample);
      vu.metrics.add("data_received", Buffer.byteLength(outcome.body), sample);
      return response;
    },
    expectedStatuses(...statuses) {
      const expected: ExpectedStatuses = {};
      expectations.set(expected, statuses);
      return expected;
    },
  };
}
