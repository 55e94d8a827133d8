/**
 * A client of the SDK: it keeps live stores of its user's projects, and writes by their outboxes. It goes away and comes back
 * with what its storage has. At the end each store must be what REST says.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  type Client,
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
import type { Random } from "./random.ts";
import type { StoreReport } from "./recording.ts";
import type { Project, User, World } from "./world.ts";

export interface SdkOptions {
  name: string;
  user: User;
  projects: Project[];
  /** Where gateways and notifiers are. */
  urls: { api: () => string; sockets: string };
  world: World;
  random: Random;
}

/** How often it leaves and comes back in place of a write. */
const RELOADS = 0.03;
const AGAIN_AFTER_MS = 500;
const QUIET_WITHIN_MS = 60_000;
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

  /** Waits until nothing waits any more, and compares. */
  async report(): Promise<StoreReport[]> {
    const isQuiet = (): boolean =>
      this.#stores
        .map((store) => store.getSnapshot())
        .every(({ status, waiting }) => status === "closed" || (status === "live" && waiting === 0));
    // What was built on a refused creation waits for its user's decision, as long as that is there.
    const decide = (): void => {
      for (const store of this.#stores)
        for (const { id, state } of store.getSnapshot().changes)
          if (state === "failed" || state === "conflict") store.discard(id);
    };
    await until(() => {
      decide();
      return isQuiet();
    }, QUIET_WITHIN_MS);
    return Promise.all(this.#stores.map((store) => this.#compare(store)));
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

  /** One change, of what a user sees. */
  #write(): void {
    const { random, world, projects } = this.#options;
    const project = random.pick(projects);
    const store = this.#client.project(project.id);
    const { tasks, columns, changes, status } = store.getSnapshot();
    // A user decides what was refused: it goes, or is sent again.
    const refused = changes.find(({ state }) => state === "failed" || state === "conflict");
    if (refused !== undefined)
      return random.next() < 0.3 ? store.retry(refused.id) : store.discard(refused.id);
    if (status === "closed" || status === "loading") return;
    this.#made.set(store.id, (this.#made.get(store.id) ?? 0) + 1);
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
    const response = await fetch(`${urls.api()}/projects/${project}/snapshot`, { headers });
    if (response.status === 404) return null;
    const lines = (await response.text()).trimEnd().split("\n");
    const items = lines.map((line) => JSON.parse(line) as { type: string; data: Task | Comment | Member });
    return new Map(
      items
        .filter(({ type }) => ["task", "comment", "member"].includes(type))
        .map(({ type, data }) => [`${type} ${"user_id" in data ? data.user_id : data.id}`, digestOf(data)]),
    );
  }
}

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
