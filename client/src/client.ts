/** The client of a Taskwire server: login, REST, connection and stores under one roof. */
import openapiFetch, { type Client as RestClient } from "openapi-fetch";
import type { paths } from "./api.ts";
import { Auth, type Credentials, type Registration } from "./auth.ts";
import { Connection } from "./connection.ts";
import { Cursors } from "./cursors.ts";
import { ownOrigin, watchPage } from "./environment.ts";
import { Http } from "./http.ts";
import { Me } from "./me.ts";
import { Store } from "./project-store.ts";
import { memoryStorage, Saver } from "./storage.ts";
import {
  type ClientEvents,
  type ClientOptions,
  type ClientStorage,
  CODES,
  type ConnectionState,
  type EventOf,
  type EventType,
  type MeStore,
  type Position,
  type ProjectStore,
  type Transport,
  type User,
} from "./types.ts";
import { Ways } from "./ways.ts";

const ATTEMPTS = 4;
const TIMEOUT_MS = 30_000;
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Names that `on` takes. */
export type ListenerName = EventType | keyof ClientEvents;
/** What a handler of a name gets. */
export type Heard<Name extends ListenerName> = Name extends keyof ClientEvents
  ? ClientEvents[Name]
  : Name extends EventType
    ? EventOf<Name>
    : never;
/** Only what happens on one stream, or in one project. */
export interface Filter {
  stream?: string;
  project?: string;
}

interface Listener {
  handler: (value: never) => void;
  stream: string | undefined;
}

export class Client {
  /** The API by its document: typed by path, authenticated, repeated where that does no harm. See `unwrap`. */
  readonly rest: RestClient<paths>;
  readonly #http: Http;
  readonly #auth: Auth;
  readonly #connection: Connection;
  readonly #cursors: Cursors;
  readonly #storage: ClientStorage;
  readonly #saver: Saver;
  readonly #prefix: string;
  readonly #isKept: boolean;
  readonly #failed: (error: unknown) => void;
  readonly #listeners = new Map<ListenerName, Set<Listener>>();
  readonly #stores = new Map<string, Store>();
  #me: Me | null = null;
  readonly #unwatch: () => void;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ClientOptions) {
    const url = (options.url ?? ownOrigin()).replace(/\/+$/, "");
    if (!/^https?:\/\//.test(url))
      throw new TypeError(`url is "${url}", and not like https://tasks.example.com`);
    const { token, getToken, session, cookie = false, storage, streams } = options;
    this.#failed = options.onError ?? ((error) => console.error(error));
    this.#storage = storage ?? memoryStorage();
    this.#isKept = storage !== undefined;
    this.#saver = new Saver(this.#storage, this.#failed);
    this.#prefix = `taskwire:${url}:`;
    this.#http = new Http({
      url,
      cookie,
      attempts: options.attempts ?? ATTEMPTS,
      timeout: options.timeout ?? TIMEOUT_MS,
      fetch: options.fetch ?? ((request) => fetch(request)),
    });
    this.#auth = new Auth({
      http: this.#http,
      storage: this.#storage,
      prefix: this.#prefix,
      failed: this.#failed,
      cookie,
      ...(token !== undefined && { token }),
      ...(getToken !== undefined && { getToken }),
      ...(session !== undefined && { session }),
      changed: (user) => this.#userChanged(user),
    });
    this.#http.authorizeBy(this.#auth);
    this.rest = openapiFetch<paths>({
      baseUrl: `${url}/api/v1`,
      fetch: (request) => this.#http.send(request),
      // The server takes lists as `a,b`.
      querySerializer: { array: { style: "form", explode: false } },
    });
    const [saver, prefix, failed] = [this.#saver, this.#prefix, this.#failed];
    this.#cursors = new Cursors({ storage: this.#storage, saver, prefix, failed });
    this.#connection = new Connection({
      ways: new Ways(options.socketUrl ?? url, this.#http),
      auth: this.#auth,
      cursors: this.#cursors,
      streams,
      failed: this.#failed,
      handlers: {
        state: (state) => this.#stateChanged(state),
        event: (event) => {
          const { stream, type } = event;
          for (const store of this.#stores.values()) if (store.stream === stream) store.heard(event);
          this.#me?.heard(event);
          this.#emit(type, event, stream);
          this.#emit("event", event, stream);
        },
        located: (stream, { seq, id, recovered }) => {
          for (const store of this.#stores.values())
            if (store.stream === stream) store.located({ seq, id, recovered });
          if (!recovered) this.#me?.changed();
          const position: Position = { seq, id };
          this.#emit("located", { stream, position, recovered }, stream);
          if (!recovered) this.#emit("reset", { stream, position }, stream);
        },
        closed: (stream, problem) => {
          for (const store of this.#stores.values()) if (store.stream === stream) store.lost(problem);
          this.#me?.changed();
          this.#emit("stream_closed", { stream, problem }, stream);
        },
      },
    });
    this.#unwatch = watchPage({ back: () => undefined, offline: () => undefined, hide: () => this.#flush() });
  }

  /** The user who is logged in; null before `restore`, and where the application brings the tokens. */
  get user(): User | null {
    return this.#auth.user;
  }

  /** The state of the connection. `on("connection", …)` tells each change. */
  get connection(): ConnectionState {
    return this.#connection.state;
  }

  /** How the client reaches the server now; null while it is not connected. */
  get transport(): Transport | null {
    return this.#connection.transport;
  }

  /** The login of before the reload. @returns its user; null where somebody has to log in */
  restore(): Promise<User | null> {
    return this.#auth.restore();
  }

  /** @throws ProblemError (`invalid-credentials`, `rate-limited` …), NetworkError */
  login(credentials: Credentials): Promise<User> {
    return this.#auth.login(credentials);
  }

  /** Registers, and logs in. @throws ProblemError (`already-exists`, `validation-failed` …), NetworkError */
  register(registration: Registration): Promise<User> {
    return this.#auth.register(registration);
  }

  /**
   * Ends the session, and forgets all that was kept of it in this browser, waiting changes too.
   * @throws NetworkError where the server was not told; the client has forgotten the session all the same
   */
  async logout(): Promise<void> {
    await this.#auth.restore();
    const { account } = this.#auth;
    try {
      await this.#auth.logout();
    } finally {
      await this.#saver.settled();
      for (const what of ["cursor", "state", "outbox"])
        for (const key of await this.#storage.keys(`${this.#prefix}${what}:${account}:`))
          await this.#storage.delete(key);
    }
  }

  /**
   * Connects, and keeps connected until `disconnect`. Events that `on` names arrive from then on. A login alone does not connect;
   * a store does. Where the client waits before it tries again (`retryAt`), or goes a worse way than by WebSocket, it tries now.
   */
  connect(): void {
    this.#connection.connect();
  }

  /** Disconnects. `connect` goes on where the client was. */
  disconnect(): void {
    this.#connection.disconnect();
  }

  /**
   * Calls back for each event of a type, or for what `ClientEvents` names.
   * @param filter only those of one project or stream
   * @returns the end of it
   */
  on<Name extends ListenerName>(
    name: Name,
    handler: (value: Heard<Name>) => void,
    { stream, project }: Filter = {},
  ): () => void {
    const listener: Listener = { handler, stream: project === undefined ? stream : `project:${project}` };
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /**
   * A live project; the same store each time, until it is closed.
   * @param id of the project, not its slug
   * @throws TypeError for what is no id
   */
  project(id: string): ProjectStore {
    if (!ID.test(id)) throw new TypeError(`"${id}" is not a project's id`);
    let store = this.#stores.get(id);
    if (store === undefined) {
      store = new Store({
        id,
        http: this.#http,
        auth: this.#auth,
        connection: this.#connection,
        storage: this.#storage,
        saver: this.#saver,
        prefix: this.#prefix,
        isKept: this.#isKept,
        inTurn: (work) => this.#inTurn(work),
        failed: this.#failed,
        closed: () => this.#stores.delete(id),
      });
      this.#stores.set(id, store);
    }
    return store;
  }

  /** The live list of the user's own projects; the same store each time, until it is closed. */
  me(): MeStore {
    this.#me ??= new Me({
      http: this.#http,
      auth: this.#auth,
      connection: this.#connection,
      storage: this.#storage,
      saver: this.#saver,
      prefix: this.#prefix,
      failed: this.#failed,
      closed: () => (this.#me = null),
    });
    return this.#me;
  }

  /** Ends everything: connection, stores, requests, timers. The client can't be used again. Resolves when all that was to be kept is written. */
  async close(): Promise<void> {
    this.#unwatch();
    this.#closeStores();
    if (this.#connection.isWanted) this.#connection.disconnect();
    this.#listeners.clear();
    this.#http.close();
    await this.#saver.settled();
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** @param isEnded the login is over */
  #closeStores(isEnded = false): void {
    for (const store of [...this.#stores.values()]) store.close(isEnded);
    this.#me?.close();
  }

  #flush(): void {
    for (const store of this.#stores.values()) store.flush();
  }

  #stateChanged(state: ConnectionState): void {
    for (const store of this.#stores.values()) store.connectionChanged(state.status === "ready");
    this.#me?.connectionChanged();
    this.#emit("connection", state);
  }

  #userChanged(user: User | null): void {
    if (user === null) {
      this.#closeStores(true);
      if (this.#connection.isWanted) this.#connection.disconnect(CODES.login);
      this.#cursors.clear();
    }
    this.#emit("session", user);
  }

  #emit<Name extends ListenerName>(name: Name, value: Heard<Name>, stream?: string): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      if (listener.stream !== undefined && listener.stream !== stream) continue;
      try {
        listener.handler(value as never);
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}

/** Makes a client. Nothing is sent before it is asked to. @throws TypeError for a `url` that is none */
export const createClient = (options: ClientOptions = {}): Client => new Client(options);
