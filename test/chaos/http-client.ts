import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Call, Outcome } from "./recording.ts";

const ANSWER_WITHIN_MS = 15_000;
const RETRIES = 8;
const RETRY_AFTER_MS = 500;
const ID = /[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g;

export interface Answer {
  outcome: Outcome;
  status: number | null;
  body: any;
}

/** What the recording is to know of a call. */
export type CallNote = Pick<Call, "action"> &
  Partial<Pick<Call, "leavesEvent" | "makesMany" | "ends" | "row" | "redacts">>;

export interface Identity {
  user: string;
  token?: string;
}

export interface Request {
  method: string;
  path: string;
  body?: unknown;
  /** Sent with an idempotency key: tried again until it is answered. */
  isKeyed?: boolean;
}

const outcomeOf = (status: number): Outcome => (status < 400 ? "ok" : status < 500 ? "refused" : "failed");

/** Sends requests and records each attempt. */
export class HttpClient {
  readonly calls: Call[];
  readonly #base: () => string;

  constructor(base: () => string, calls: Call[]) {
    this.#base = base;
    this.calls = calls;
  }

  /** @returns the last attempt's answer; it never throws */
  async send(request: Request, { user, token }: Identity, note: CallNote): Promise<Answer> {
    const id = randomUUID();
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#attempt(request, id, user, token, note);
      const isOver = answer.outcome === "ok" || (answer.outcome === "refused" && answer.status !== 409);
      // 409 may say that the first attempt is still under way.
      const mayRepeat = request.isKeyed === true && (attempt > 0 || answer.status !== 409);
      if (isOver || !mayRepeat || attempt === RETRIES) return answer;
      await delay(RETRY_AFTER_MS);
    }
  }

  async #attempt(
    { method, path, body, isKeyed }: Request,
    id: string,
    user: string,
    token: string | undefined,
    note: CallNote,
  ): Promise<Answer> {
    const began = Date.now();
    let answer: Answer;
    try {
      const response = await fetch(`${this.#base()}${path}`, {
        method,
        headers: {
          "X-Request-ID": id,
          ...(token !== undefined && { Authorization: `Bearer ${token}` }),
          ...(body !== undefined && { "Content-Type": "application/json" }),
          ...(isKeyed === true && { "Idempotency-Key": id }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      });
      const text = await response.text();
      const { status } = response;
      answer = { outcome: outcomeOf(status), status, body: text === "" ? null : JSON.parse(text) };
    } catch {
      answer = { outcome: "unknown", status: null, body: null };
    }
    const { outcome, status } = answer;
    const code = String(answer.body?.type ?? "")
      .split("/")
      .at(-1);
    this.calls.push({
      id,
      operation: `${method} ${path.replaceAll(ID, "{}")}`,
      user,
      began,
      ended: Date.now(),
      outcome,
      status,
      leavesEvent: false,
      ...note,
      ...(outcome !== "ok" && code !== undefined && code !== "" && { code }),
    });
    return answer;
  }
}
