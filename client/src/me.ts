/** The live list of one's own projects: read by REST, and again when an event says that it changed. */
import type { Auth } from "./auth.ts";
import type { Connection } from "./connection.ts";
import type { Http } from "./http.ts";
import { Pause, pauseAfter } from "./pauses.ts";
import { readAll } from "./snapshot.ts";
import { readJson, type Saver } from "./storage.ts";
import {
  type ClientStorage,
  CODES,
  type MeSnapshot,
  type MeStore,
  type OwnProject,
  type TaskwireEvent,
} from "./types.ts";
import { Watchers } from "./watchers.ts";

export interface MeOptions {
  http: Http;
  auth: Auth;
  connection: Connection;
  storage: ClientStorage;
  saver: Saver;
  prefix: string;
  failed: (error: unknown) => void;
  /** The store was closed. */
  closed: () => void;
}

/** Events that come together are one reason to read. */
const GATHER_MS = 100;

/** The same for what is the same. */
const keyOf = (project: OwnProject): string => JSON.stringify(project);

const byName = (one: OwnProject, other: OwnProject): number =>
  one.name.localeCompare(other.name) || (one.id < other.id ? -1 : 1);

export class Me implements MeStore {
  readonly #options: MeOptions;
  readonly #watchers: Watchers;
  readonly #pause = new Pause();
  #projects: readonly OwnProject[] | null = null;
  #snapshot: MeSnapshot | null = null;
  #started: Promise<void> | null = null;
  /** Something happened since the list was asked for. */
  #isOutdated = true;
  #isReading = false;
  #isStopped = false;

  constructor(options: MeOptions) {
    this.#options = options;
    this.#watchers = new Watchers(options.failed);
  }

  subscribe = (listener: () => void): (() => void) => {
    void this.#start();
    return this.#watchers.add(listener);
  };

  getSnapshot = (): MeSnapshot => {
    this.#snapshot ??= {
      status: this.#status,
      user: this.#options.auth.user,
      projects: this.#projects ?? [],
    };
    return this.#snapshot;
  };

  async open(): Promise<MeSnapshot> {
    await this.#start();
    return this.#watchers.until(() => {
      if (this.#isStopped) throw new Error("the store was closed");
      const snapshot = this.getSnapshot();
      return snapshot.status === "live" ? snapshot : null;
    });
  }

  close(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    // The next user of the page is not to see them.
    this.#projects = null;
    this.#pause.end();
    this.#options.closed();
    this.#touch();
  }

  /** An event of any stream. */
  heard({ type, stream, data }: TaskwireEvent): void {
    if (type.startsWith("project_") || (stream.startsWith("user:") && "member" in data)) this.changed();
  }

  /** The list may be another one. */
  changed(): void {
    this.#isOutdated = true;
    this.#readSoon();
  }

  /** The connection has another state. */
  connectionChanged(): void {
    if (this.#isOutdated) this.#pause.end();
    this.#readSoon();
  }

  get #isReady(): boolean {
    return this.#options.connection.state.status === "ready" && !this.#isStopped;
  }

  get #status(): MeSnapshot["status"] {
    if (this.#projects === null) return "loading";
    return this.#isReady && !this.#isOutdated && !this.#isReading ? "live" : "stale";
  }

  get #key(): string {
    const { prefix, auth } = this.#options;
    return `${prefix}state:${auth.account}:me`;
  }

  #start(): Promise<void> {
    this.#started ??= this.#load();
    return this.#started;
  }

  async #load(): Promise<void> {
    const { auth, connection, storage, failed } = this.#options;
    await auth.restore();
    const kept = await readJson(storage, this.#key, failed);
    if (this.#isStopped) return;
    this.#projects ??= kept as OwnProject[] | null;
    if (auth.user !== null) connection.follow(`user:${auth.user.id}`);
    // Nobody has ended the connection: there was none, or the login of then has ended.
    if ([CODES.idle, CODES.login].some((code) => code === connection.state.code)) connection.connect();
    this.#readSoon();
  }

  #readSoon(): void {
    this.#touch();
    if (this.#started !== null && this.#isOutdated && !this.#isReading && this.#isReady)
      this.#read().catch(this.#options.failed);
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    for (let failures = 0; this.#isOutdated && this.#isReady;) {
      await this.#pause.wait(failures === 0 ? GATHER_MS : pauseAfter(failures));
      this.#isOutdated = false;
      try {
        this.#replace(await readAll<OwnProject>(this.#options.http, "/projects"));
        failures = 0;
      } catch {
        this.#isOutdated = true;
        failures += 1;
      }
    }
    this.#isReading = false;
    this.#touch();
  }

  #replace(items: OwnProject[]): void {
    if (this.#isStopped) return;
    const old = new Map(this.#projects?.map((project) => [keyOf(project), project]));
    const projects = items.map((project) => old.get(keyOf(project)) ?? project).sort(byName);
    this.#projects = projects;
    this.#options.saver.save(this.#key, () => JSON.stringify(projects));
  }

  #touch(): void {
    this.#snapshot = null;
    this.#watchers.tell();
  }
}
