/** A store of the SDK, a model of the server, and what is between them. Timers are the test's: fake ones. */
import { jest } from "@jest/globals";
import { Http } from "../../client/src/http.ts";
import { Store } from "../../client/src/project-store.ts";
import { memoryStorage, Saver } from "../../client/src/storage.ts";
import { CODES, type ConnectionState, type Made, type Position, type Task } from "../../client/src/types.ts";
import { ME, ModelServer, PROJECT } from "./model-server.ts";

/** Lets all promises of this moment run; the timers are the test's. */
export async function flush(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A store, the server, and what is between them. */
export class Board {
  readonly server = new ModelServer();
  readonly storage = memoryStorage();
  readonly failures: unknown[] = [];
  /** Changes of which each must be made once. */
  readonly additions = new Set<string>();
  /** What the user made on this page and has not deleted: ids by their changes. */
  readonly created = new Map<string, string>();
  /** What the user saw of a task when they changed its status, and in which history. */
  readonly looks = new Map<string, Pick<Task, "status" | "version"> & { epoch: number }>();
  store: Store;
  /** The last event that the connection has brought. */
  #cursor: Position = { seq: 0, id: null };
  #state: ConnectionState = { status: "connecting", code: CODES.connect, problem: null, retryAt: null };

  constructor() {
    this.store = this.#open();
  }

  #open(): Store {
    const failed = (error: unknown): void => void this.failures.push(error);
    const state = (): ConnectionState => this.#state;
    const store = new Store({
      id: PROJECT,
      http: new Http({
        url: "http://model",
        attempts: 1,
        timeout: 10_000,
        cookie: false,
        fetch: this.server.fetch,
      }),
      auth: { account: ME, restore: async () => null },
      connection: {
        get state() {
          return state();
        },
        position: () => (this.#state.status === "ready" ? this.#cursor : undefined),
        follow: () => undefined,
        unfollow: () => undefined,
        connect: () => undefined,
      },
      storage: this.storage,
      saver: new Saver(this.storage, failed),
      prefix: "",
      isKept: true,
      inTurn: (work) => work(),
      failed,
      closed: () => undefined,
    });
    store.subscribe(() => store.getSnapshot());
    return store;
  }

  /** The page is left and comes again. */
  async reload(): Promise<void> {
    this.store.close();
    await flush();
    this.created.clear();
    this.store = this.#open();
    await flush();
  }

  create(title: string): void {
    const { change, id } = this.store.create({ title });
    this.additions.add(change);
    this.created.set(change, id);
  }

  delete({ id }: Task): void {
    this.store.delete(id);
    for (const [change, made] of this.created)
      if (this.store.realId(made) === id) this.created.delete(change);
  }

  /** @param act changes the status of a task that the user sees */
  look({ status, version }: Task, act: () => Made): void {
    this.looks.set(act().change, { status, version, epoch: this.server.epoch });
  }

  /** What the user made, nobody deleted and nothing refused, and what does not show all the same. */
  get vanished(): string[] {
    const { tasks, changes } = this.store.getSnapshot();
    const refused = new Set(
      changes.filter(({ state }) => state === "failed" || state === "conflict").map(({ id }) => id),
    );
    return [...this.created].flatMap(([change, made]) => {
      const id = this.store.realId(made);
      const isThere = !this.server.applied.has(change) || this.server.tasks.has(id);
      return !isThere || this.server.lost.has(change) || refused.has(change) || tasks.has(id) ? [] : [id];
    });
  }

  /** Own changes of a status that silently undid one that the user had not seen. */
  get overridden(): object[] {
    const { statusWrites } = this.server;
    return statusWrites.filter(({ request, task, from, epoch }, at) => {
      const look = this.looks.get(request ?? "");
      const before = statusWrites.slice(0, at).findLast((write) => write.task === task);
      return (
        look?.epoch === epoch &&
        before?.epoch === epoch &&
        before.by !== ME &&
        before.version > look.version &&
        from !== look.status
      );
    });
  }

  deliver(most: number): void {
    if (this.#state.status !== "ready") return;
    for (const event of this.server.log.slice(this.#cursor.seq, this.#cursor.seq + most)) {
      this.#cursor = { seq: event.seq, id: event.id };
      this.store.heard(event);
    }
  }

  drop(): void {
    this.#set("connecting");
  }

  /** The database comes back as an earlier one; open connections are told. */
  restore(seq: number): void {
    this.server.restore(seq);
    // What somebody had deleted is back, and shows when the state is read again.
    this.created.clear();
    if (this.#state.status !== "ready") return;
    this.#cursor = this.server.head;
    this.store.located({ ...this.#cursor, recovered: false });
  }

  /** @param reaches false where the log does not reach back any more */
  connect(reaches: boolean): void {
    if (this.#state.status === "ready") return;
    const { seq, id } = this.#cursor;
    const recovered = reaches && (seq === 0 || this.server.log[seq - 1]?.id === id);
    if (recovered)
      for (const event of this.server.log.slice(this.#cursor.seq)) {
        this.#cursor = { seq: event.seq, id: event.id };
        this.store.heard(event);
      }
    this.#cursor = this.server.head;
    this.store.located({ ...this.#cursor, recovered });
    this.#set("ready");
  }

  /** Everything works again, and time goes by. */
  async heal(): Promise<void> {
    this.server.faults.length = 0;
    this.server.isSlow = false;
    this.connect(true);
    // Once more than needed: a change that was confirmed, and then lost by a restore, shows for some seconds.
    for (let [round, quiet] = [0, 0]; round < 40 && quiet < 2; round += 1) {
      this.deliver(Infinity);
      await flush();
      const { status, waiting } = this.store.getSnapshot();
      const isQuiet = status === "live" && waiting === 0 && this.server.head.seq === this.#cursor.seq;
      quiet = isQuiet ? quiet + 1 : 0;
      await jest.advanceTimersByTimeAsync(35_000);
    }
  }

  #set(status: ConnectionState["status"]): void {
    this.#state = { ...this.#state, status };
    this.store.connectionChanged(status === "ready");
  }
}
