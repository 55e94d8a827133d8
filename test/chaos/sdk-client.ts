/**
 * A client of the SDK: it keeps live stores of its user's projects, and writes by their outboxes, or drags cards and does
 * nothing else. It goes away and comes back with what its storage has. At the end each store must be what REST says.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  type Change,
  type Client,
  codeOf,
  type Comment,
  createClient,
  memoryStorage,
  type Member,
  type ProjectSnapshot,
  type ProjectStore,
  type Status,
  type Task,
} from "../../client/src/index.ts";
import { until } from "../../local/until.ts";
import { digestOf } from "./digest.ts";
import { drag, orderOf } from "./dragging.ts";
import type { Random } from "./random.ts";
import type { Drag, StoreReport } from "./recording.ts";
import type { Project, User, World } from "./world.ts";

export interface SdkOptions {
  name: string;
  user: User;
  projects: Project[];
  /** Where gateways and notifiers are. */
  urls: { api: () => string; sockets: string };
  world: World;
  random: Random;
  /** Its writes are drags. */
  isDragging?: boolean;
}

/** How often it leaves and comes back in place of a write. */
const RELOADS = 0.03;
const AGAIN_AFTER_MS = 500;
const BUSY_ATTEMPTS = 40;
const SETTLED_WITHIN_MS = 120_000;
const ACTIONS = { create: 6, update: 6, move: 6, transition: 3, comment: 4, delete: 1 } as const;
const STATUSES: Status[] = ["pending", "in_progress", "completed", "cancelled"];

export class SdkClient {
  readonly name: string;
  readonly #options: SdkOptions;
  readonly #storage = memoryStorage();
  readonly #errors: string[] = [];
  #client: Client;
  #stores: ProjectStore[] = [];
  readonly #made = new Map<string, number>();
  /** By the ids of the changes. */
  readonly #drags = new Map<string, Drag>();
  #isOver = false;

  constructor(options: SdkOptions) {
    this.name = options.name;
    this.#options = options;
    this.#client = this.#open();
  }

  /** Writes until `signal`, with a pause between two writes. */
  async run(signal: AbortSignal, pauseMs: number): Promise<void> {
    const { random } = this.#options;
    while (!signal.aborted) {
      await delay(pauseMs * (0.5 + random.next()));
      if (random.next() < RELOADS) await this.#reload();
      else this.#write();
    }
  }

  /** Waits until nothing waits any more, as long as that may take on a busy machine. */
  async settle(): Promise<void> {
    const isQuiet = (): boolean =>
      this.#stores
        .map((store) => store.getSnapshot())
        .every(({ status, waiting }) => status === "closed" || (status === "live" && waiting === 0));
    await until(() => {
      // What was built on a refused creation waits for its user's decision, as long as that is there.
      for (const store of this.#stores) for (const change of refusedIn(store)) this.#discard(store, change);
      return isQuiet();
    }, SETTLED_WITHIN_MS);
  }

  /** Compares each store with REST, once nobody writes any more. */
  report(): Promise<StoreReport[]> {
    return Promise.all(this.#stores.map((store) => this.#compare(store)));
  }

  /** The drags so far, and the column as its user sees it. */
  board(): { drags: Drag[]; order: string[] } {
    const [snapshot] = this.#stores.map((store) => store.getSnapshot());
    const waiting = new Set(snapshot?.changes.map(({ id }) => id));
    const drags = [...this.#drags.values()].map((one) => ({
      ...one,
      outcome: one.outcome || (waiting.has(one.id) ? "waits" : "done"),
    }));
    return { drags, order: snapshot === undefined ? [] : orderOf(snapshot) };
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#client.close();
  }

  #open(): Client {
    const { urls, projects } = this.#options;
    const client = createClient({
      url: urls.api(),
      socketUrl: urls.sockets,
      getToken: () => this.#token(),
      storage: this.#storage,
      timeout: 10_000,
      onError: (error) => this.#errors.push(String(error)),
    });
    this.#stores = projects.map(({ id }) => client.project(id));
    for (const store of this.#stores) store.subscribe(() => void store.getSnapshot());
    return client;
  }

  /** A new session each time: sessions are ended by other writes, too. */
  async #token(): Promise<string> {
    const { world, user } = this.#options;
    for (;;) {
      const session = await world.logIn(user);
      if (session !== null) return session.token;
      if (this.#isOver) throw new Error("the run is over");
      await delay(AGAIN_AFTER_MS);
    }
  }

  async #reload(): Promise<void> {
    await this.#client.close();
    this.#client = this.#open();
  }

  /** Takes back what was refused. */
  #discard(store: ProjectStore, { id, problem }: Change): void {
    const dragged = this.#drags.get(id);
    if (dragged !== undefined) dragged.outcome = problem === null ? "discarded" : codeOf(problem);
    store.discard(id);
  }

  #drag(store: ProjectStore): void {
    const dragged = drag(store, this.#options.random);
    if (dragged === null) return;
    const { change: id, ...what } = dragged;
    this.#drags.set(id, { id, client: this.name, at: Date.now(), ...what, outcome: "" });
  }

  /** One change, of what a user sees. */
  #write(): void {
    const { random, world, projects, isDragging = false } = this.#options;
    const project = random.pick(projects);
    const store = this.#client.project(project.id);
    const { tasks, columns, status } = store.getSnapshot();
    // A user decides what was refused: it goes, or is sent again.
    const [refused] = refusedIn(store);
    if (refused !== undefined)
      return !isDragging && random.next() < 0.3 ? store.retry(refused.id) : this.#discard(store, refused);
    if (status === "closed" || status === "loading") return;
    this.#made.set(store.id, (this.#made.get(store.id) ?? 0) + 1);
    if (isDragging) return this.#drag(store);
    const action = random.weighted(ACTIONS) as keyof typeof ACTIONS;
    if (action === "create" || tasks.size === 0) return void store.create({ title: world.title(project) });
    const { id } = random.pick([...tasks.values()]);
    if (action === "update") store.update(id, { title: world.title(project) });
    else if (action === "transition") store.transition(id, random.pick(STATUSES));
    else if (action === "comment") store.comment(id, world.title(project));
    else if (action === "delete") store.delete(id);
    else {
      const to = random.pick(STATUSES);
      const neighbour = columns[to].length === 0 ? undefined : random.pick([...columns[to]]).id;
      store.move(id, {
        status: to,
        ...(neighbour !== undefined && neighbour !== id && { before: neighbour }),
      });
    }
  }

  /** How a store differs from the snapshot that its user is sent. */
  async #compare(store: ProjectStore): Promise<StoreReport> {
    const snapshot = store.getSnapshot();
    const { status, waiting } = snapshot;
    const refused = snapshot.changes.filter(({ state }) => state === "failed" || state === "conflict").length;
    const made = this.#made.get(store.id) ?? 0;
    const stream = `project:${store.id}`;
    const report = {
      client: this.name,
      stream,
      status,
      made,
      waiting,
      refused,
      errors: this.#errors,
      doubled: [],
    };
    const there = await this.#read(store.id);
    if (there === null)
      return { ...report, differences: status === "closed" ? [] : ["REST has no such project"] };
    const own = digestsOf(snapshot);
    const differences = [...new Set([...own.keys(), ...there.keys()])].filter(
      (id) => own.get(id) !== there.get(id),
    );
    return { ...report, differences, doubled: doubledIn(snapshot) };
  }

  /** @returns null where the user may not see the project */
  async #read(project: string): Promise<Map<string, string> | null> {
    const { urls } = this.#options;
    const headers = { Authorization: `Bearer ${await this.#token()}` };
    const ask = (): Promise<Response> => fetch(`${urls.api()}/projects/${project}/snapshot`, { headers });
    let response = await ask();
    // All clients read at once, and a node reads a few snapshots at a time.
    for (let attempt = 0; response.status === 503 && attempt < BUSY_ATTEMPTS; attempt++) {
      await response.body?.cancel();
      await delay(AGAIN_AFTER_MS);
      response = await ask();
    }
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(`the snapshot of ${project} is answered ${response.status}`);
    const lines = (await response.text()).trimEnd().split("\n");
    const items = lines.map((line) => JSON.parse(line) as { type: string; data: Task | Comment | Member });
    return new Map(
      items
        .filter(({ type }) => ["task", "comment", "member"].includes(type))
        .map(({ type, data }) => [`${type} ${"user_id" in data ? data.user_id : data.id}`, digestOf(data)]),
    );
  }
}

/** Changes that wait for their user's decision. */
const refusedIn = (store: ProjectStore): Change[] =>
  store.getSnapshot().changes.filter(({ state }) => state === "failed" || state === "conflict");

/** Texts of comments, each of which was written once. */
function doubledIn({ comments }: ProjectSnapshot): string[] {
  const texts = [...comments.values()]
    .flat()
    .flatMap(({ body }) => (body?.startsWith("canary") ? [body] : []));
  return texts.filter((text, at) => texts.indexOf(text) !== at);
}

/** What a store shows, in the form of a snapshot's lines. */
function digestsOf({ tasks, comments, members }: ProjectSnapshot): Map<string, string> {
  const digests = new Map<string, string>();
  for (const task of tasks.values()) digests.set(`task ${task.id}`, digestOf(task));
  for (const comment of [...comments.values()].flat())
    digests.set(`comment ${comment.id}`, digestOf(comment));
  // Their names come from elsewhere.
  for (const { user_id, role, created_at } of members.values())
    digests.set(`member ${user_id}`, digestOf({ user_id, role, created_at }));
  return digests;
}
