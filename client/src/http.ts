/** Sends requests: with the token of the login, within a time, and again where that can do no harm. */
import { newId } from "./environment.ts";
import { Pause, pauseAfter, pauseOf } from "./pauses.ts";
import { errorOf, NetworkError, retryAfterOf } from "./problem.ts";

/** Where tokens come from. */
export interface Tokens {
  /** A token that is good for a while. @throws ProblemError 401 where the user has to log in */
  token(): Promise<string>;
  /** A token instead of one that was refused. @throws ProblemError 401 where the user has to log in */
  renew(refused: string): Promise<string>;
}

export interface HttpOptions {
  url: string;
  attempts: number;
  timeout: number;
  fetch: (request: Request) => Promise<Response>;
  /** Cookies go along, also to another origin of the same site. */
  cookie: boolean;
}

interface JsonOptions {
  body?: object | undefined;
  headers?: Record<string, string>;
  /** Gives the request up. */
  signal?: AbortSignal;
  attempts?: number;
}

/** Routes that need no login, or make one. */
const OPEN = /\/auth\/(login|register|refresh|verify-email|password\/(forgot|reset))$/;
/** POSTs that take no `Idempotency-Key`. */
const KEYLESS = /\/(auth\/.*|sync)$/;
/** POSTs without a key that may be sent again all the same. */
const REPEATABLE = /\/(auth\/refresh|sync)$/;
/** Answers that are read as they come. */
const STREAMED = /ndjson|event-stream/;
const TEMPORARY = [429, 503, 504];

const pathOf = ({ url }: Request): string => new URL(url).pathname;

/** Whether sending a request twice does what sending it once does. */
const isRepeatable = (request: Request): boolean =>
  request.method === "GET" ||
  request.method === "HEAD" ||
  request.headers.has("Idempotency-Key") ||
  REPEATABLE.test(pathOf(request));

/** An answer that does not need its connection any more. */
async function whole(response: Response): Promise<Response> {
  if (STREAMED.test(response.headers.get("Content-Type") ?? "")) return response;
  const body = await response.arrayBuffer();
  const { status, statusText, headers } = response;
  return new Response(body.byteLength === 0 ? null : body, { status, statusText, headers });
}

export class Http {
  readonly #options: HttpOptions;
  /** Ends what is under way: attempts and pauses. */
  readonly #ends = new Set<() => void>();
  #tokens: Tokens | null = null;
  #isClosed = false;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** How long one attempt may take, in milliseconds. */
  get timeout(): number {
    return this.#options.timeout;
  }

  /** Requests carry a token from now on. */
  authorizeBy(tokens: Tokens): void {
    this.#tokens = tokens;
  }

  /** Ends all that is under way: it gets a NetworkError, and so does all that comes after. */
  close(): void {
    this.#isClosed = true;
    for (const end of this.#ends) end();
  }

  /**
   * Sends a request with a token, and once more with a new one after a 401.
   * @param attempts how often it is sent at most while there is no answer
   * @throws NetworkError without an answer; ProblemError 401 where nobody is logged in
   */
  send = async (request: Request, attempts = this.#options.attempts): Promise<Response> => {
    const path = pathOf(request);
    if (request.method === "POST" && !KEYLESS.test(path) && !request.headers.has("Idempotency-Key"))
      request.headers.set("Idempotency-Key", newId());
    if (this.#tokens === null || OPEN.test(path)) return this.#repeat(request, attempts);
    const token = await this.#tokens.token();
    const answer = await this.#repeat(this.#authorized(request, token), attempts);
    if (answer.status !== 401) return answer;
    return this.#repeat(this.#authorized(request, await this.#tokens.renew(token)), attempts);
  };

  /**
   * Sends JSON, and reads JSON.
   * @param path below `/api/v1`
   * @returns the body, and undefined where there is none
   * @throws ProblemError, NetworkError
   */
  async json(
    method: string,
    path: string,
    { body, headers = {}, signal, attempts }: JsonOptions = {},
  ): Promise<unknown> {
    const response = await this.send(
      this.request(method, path, {
        ...(signal !== undefined && { signal }),
        headers: { ...headers, ...(body !== undefined && { "Content-Type": "application/json" }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
      attempts,
    );
    const text = await response.text();
    const read = (): unknown => {
      try {
        return text === "" ? undefined : JSON.parse(text);
      } catch {
        return text;
      }
    };
    if (!response.ok) throw errorOf(response, read());
    return read();
  }

  /** A request to a path below `/api/v1`. */
  request(method: string, path: string, init: RequestInit = {}): Request {
    return new Request(`${this.#options.url}/api/v1${path}`, { method, ...init });
  }

  #authorized(request: Request, token: string): Request {
    const copy = request.clone();
    copy.headers.set("Authorization", `Bearer ${token}`);
    return copy;
  }

  /** Sends a request until it has an answer that is not a passing one. */
  async #repeat(request: Request, attempts: number): Promise<Response> {
    for (let attempt = 1; ; attempt += 1) {
      if (this.#isClosed) throw new NetworkError("the client was closed");
      const isLast = attempt >= attempts;
      let pause = pauseAfter(attempt);
      try {
        const response = await this.#once(request.clone());
        const mayRepeat =
          response.status === 429 || (TEMPORARY.includes(response.status) && isRepeatable(request));
        if (isLast || !mayRepeat) return response;
        const seconds = retryAfterOf(response);
        if (seconds !== null) pause = pauseOf(seconds);
      } catch (error) {
        if (request.signal.aborted) throw error;
        if (isLast || !isRepeatable(request)) {
          const { method } = request;
          throw new NetworkError(`${method} ${pathOf(request)} got no answer`, { cause: error });
        }
      }
      await this.#wait(pause);
    }
  }

  async #wait(ms: number): Promise<void> {
    if (this.#isClosed) return;
    const pause = new Pause();
    const end = (): void => pause.end();
    this.#ends.add(end);
    await pause.wait(ms);
    this.#ends.delete(end);
  }

  async #once(request: Request): Promise<Response> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), this.#options.timeout);
    const passOn = (): void => abort.abort();
    this.#ends.add(passOn);
    if (request.signal.aborted) passOn();
    request.signal.addEventListener("abort", passOn, { once: true });
    try {
      const { cookie } = this.#options;
      const init = { signal: abort.signal, ...(cookie && { credentials: "include" as const }) };
      return await whole(await this.#options.fetch(new Request(request, init)));
    } finally {
      clearTimeout(timer);
      this.#ends.delete(passOn);
      request.signal.removeEventListener("abort", passOn);
    }
  }
}
