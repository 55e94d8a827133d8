/** Logs in and out, and gives tokens: one refresh at a time, in all tabs together. */
import type { components } from "./api.ts";
import { alone } from "./environment.ts";
import type { Http, Tokens } from "./http.ts";
import { isLoginNeeded, LOGIN_NEEDED, ProblemError } from "./problem.ts";
import { readJson } from "./storage.ts";
import type { ClientOptions, ClientStorage, Session, User } from "./types.ts";

type Login = components["schemas"]["Login"];
export type Credentials = components["schemas"]["AuthLoginBody"];
export type Registration = components["schemas"]["AuthRegisterBody"];

/** A token is renewed so long before it runs out, and a short one after two thirds of its time. */
const RENEW_BEFORE_MS = 60_000;

/** A token, and how long it is good. */
type Lasting = Pick<Session, "access_token" | "expires_in" | "expires_at">;

const renewAtOf = ({ expires_at, expires_in }: Lasting): number =>
  expires_at - Math.min(RENEW_BEFORE_MS, (expires_in * 1000) / 3);

/** A token that the application gave. An access token says itself how long it is good; another one is good until it is refused. */
function lastingOf(access_token: string): Lasting {
  let expires_in = Infinity;
  try {
    const claims = atob((access_token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    const { iat, exp } = JSON.parse(claims) as { iat: number; exp: number };
    const left = exp - Date.now() / 1000;
    // Where this machine's clock is wrong, the token's own span of time is what is left.
    expires_in = (left > 0 ? Math.min(left, exp - iat) : exp - iat) || Infinity;
  } catch {
    // Not an access token.
  }
  return { access_token, expires_in, expires_at: Date.now() + expires_in * 1000 };
}

/** What is kept over reloads. In cookie mode no token is among it. */
type Kept = Session | { user: User };

export interface AuthOptions extends Pick<ClientOptions, "token" | "getToken" | "session" | "cookie"> {
  http: Http;
  storage: ClientStorage;
  /** What all keys in the storage begin with. */
  prefix: string;
  /** What the storage failed at. */
  failed: (error: unknown) => void;
  /** A user has logged in, or nobody is logged in any more. */
  changed: (user: User | null) => void;
}

export class Auth implements Tokens {
  readonly #options: AuthOptions;
  readonly #key: string;
  #session: Session | null;
  #user: User | null;
  /** The token of `token`. */
  readonly #given: string | null;
  /** The last one of `getToken`. */
  #lent: Lasting | null = null;
  #renewing: Promise<string> | null = null;
  #restoring: Promise<User | null> | null = null;

  constructor(options: AuthOptions) {
    this.#options = options;
    this.#key = `${options.prefix}session`;
    this.#session = options.session ?? null;
    this.#user = this.#session?.user ?? null;
    this.#given = options.token ?? null;
  }

  /** The user who is logged in; null as well where the application brings the tokens. */
  get user(): User | null {
    return this.#user;
  }

  /** Names the owner of what is kept. */
  get account(): string {
    return this.#user?.id ?? "token";
  }

  /** When the token should be renewed, in milliseconds since 1970; null where that is not known. */
  get renewAt(): number | null {
    const lasting = this.#lent ?? this.#session;
    return lasting === null ? null : renewAtOf(lasting);
  }

  /** Whether the application brings the tokens. */
  get #isGiven(): boolean {
    return this.#options.token !== undefined || this.#options.getToken !== undefined;
  }

  /** @throws ProblemError, NetworkError */
  async login(credentials: Credentials): Promise<User> {
    const { http, cookie } = this.#options;
    const body = { ...credentials, ...(cookie && { cookie }) };
    const { user } = await this.#adopt((await http.json("POST", "/auth/login", { body })) as Login);
    return user;
  }

  /** Registers, and logs in. @throws ProblemError, NetworkError */
  async register(registration: Registration): Promise<User> {
    await this.#options.http.json("POST", "/auth/register", { body: registration });
    return this.login({ login: registration.username, password: registration.password });
  }

  /** Ends the session on the server, or leaves that to its expiry where the server can't be reached. */
  async logout(): Promise<void> {
    if (this.#user === null) return this.#forget();
    try {
      await this.#options.http.json("POST", "/auth/logout");
    } catch (error) {
      if (!isLoginNeeded(error)) throw error;
    } finally {
      await this.#forget();
    }
  }

  /** The login of before the reload. @returns its user; null where somebody has to log in */
  restore(): Promise<User | null> {
    this.#restoring ??= this.#restore().finally(() => (this.#restoring = null));
    return this.#restoring;
  }

  async token(): Promise<string> {
    if (this.#given !== null) return this.#given;
    if (!this.isAsking && this.#session === null) await this.restore();
    const lasting = this.#lent ?? this.#session;
    if (lasting === null) {
      if (!this.isAsking && this.#user === null) throw new ProblemError(LOGIN_NEEDED);
      return this.renew(null);
    }
    if (Date.now() < renewAtOf(lasting)) return lasting.access_token;
    try {
      return await this.renew(lasting.access_token);
    } catch (error) {
      // The token is good until it runs out.
      if (!isLoginNeeded(error) && Date.now() < lasting.expires_at) return lasting.access_token;
      throw error;
    }
  }

  renew(refused: string | null): Promise<string> {
    this.#renewing ??= this.#renew(refused).finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  /** Whether the application gives another token after the end of a session. */
  get isAsking(): boolean {
    return this.#options.getToken !== undefined;
  }

  /** The server has ended the session. */
  async ended(): Promise<void> {
    await this.#forget();
  }

  async #restore(): Promise<User | null> {
    if (this.#isGiven || this.#user !== null) return this.#user;
    const kept = await this.#load();
    if (kept === null) {
      // The browser may have the cookie all the same.
      if (this.#options.cookie) await this.renew(null).catch(() => undefined);
      return this.#user;
    }
    // Without a network the user is still who they were; the server says later whether the login is good.
    this.#user = kept.user;
    if ("access_token" in kept) this.#session = kept;
    this.#options.changed(kept.user);
    return kept.user;
  }

  async #renew(refused: string | null): Promise<string> {
    const { getToken } = this.#options;
    if (getToken !== undefined) {
      this.#lent = lastingOf(await getToken(refused));
      return this.#lent.access_token;
    }
    // A token that the application brought once has no successor.
    if (this.#given !== null) throw new ProblemError(LOGIN_NEEDED);
    return alone(`${this.#options.prefix}refresh`, () => this.#refresh(refused));
  }

  async #refresh(refused: string | null): Promise<string> {
    const { http, cookie } = this.#options;
    const kept = await this.#load();
    const isOurs =
      kept !== null && "access_token" in kept && (this.#user?.id ?? kept.user.id) === kept.user.id;
    // Another tab may have been faster.
    if (isOurs && kept.access_token !== refused && Date.now() < renewAtOf(kept)) {
      this.#session = kept;
      return kept.access_token;
    }
    const session = isOurs ? kept : this.#session;
    if (!cookie && session?.refresh_token === undefined) return this.#lost();
    const body = cookie ? { cookie } : { refresh_token: session?.refresh_token };
    try {
      const login = (await http.json("POST", "/auth/refresh", { body })) as Login;
      return (await this.#adopt(login)).access_token;
    } catch (error) {
      // 401, and 422 without a cookie; what is busy or slow is asked again later.
      if (error instanceof ProblemError && [401, 403, 422].includes(error.status)) return this.#lost();
      throw error;
    }
  }

  async #lost(): Promise<never> {
    await this.#forget();
    throw new ProblemError(LOGIN_NEEDED);
  }

  async #adopt({ access_token, refresh_token, expires_in, user }: Login): Promise<Session> {
    const session: Session = {
      access_token,
      expires_in,
      expires_at: Date.now() + expires_in * 1000,
      user,
      ...(refresh_token !== undefined && { refresh_token }),
    };
    // What was kept open for somebody else is closed first.
    if (this.#user !== null && this.#user.id !== user.id) await this.#forget();
    const isNew = this.#user === null;
    this.#session = session;
    this.#user = user;
    const kept: Kept = this.#options.cookie ? { user } : session;
    await this.#options.storage.set(this.#key, JSON.stringify(kept)).catch(this.#options.failed);
    if (isNew) this.#options.changed(user);
    return session;
  }

  async #forget(): Promise<void> {
    const wasKnown = this.#user !== null || this.#session !== null;
    this.#session = null;
    this.#user = null;
    await this.#options.storage.delete(this.#key).catch(this.#options.failed);
    if (wasKnown) this.#options.changed(null);
  }

  async #load(): Promise<Kept | null> {
    const { storage, failed } = this.#options;
    return (await readJson(storage, this.#key, failed)) as Kept | null;
  }
}
