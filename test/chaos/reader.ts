/** Reads at a steady rate, however long answers take: what a rollout is held against. */
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "./random.ts";
import type { Session, User, World } from "./world.ts";

/** Milliseconds between two handfuls of reads. */
const TICK_MS = 20;
/** Milliseconds before its token expires when a reader logs in again. */
const FRESH_MS = 15_000;
/** Reads under way at once: beyond them the system does not keep up, and reads are left out. */
const MOST_UNDER_WAY = 1000;

export class Reader {
  readonly #world: World;
  readonly #random: Random;
  readonly #sessions = new Map<User, Promise<Session | null>>();
  #underWay = 0;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  /** @param perSecond reads, of all writers in turn */
  async run(signal: AbortSignal, perSecond: number): Promise<void> {
    const began = performance.now();
    const reads = new Set<Promise<void>>();
    for (let sent = 0; !signal.aborted; await delay(TICK_MS)) {
      const due = Math.floor(((performance.now() - began) / 1000) * perSecond);
      for (; sent < due; sent++) {
        if (this.#underWay >= MOST_UNDER_WAY) continue;
        const read = this.#read(this.#world.writers[sent % this.#world.writers.length] as User);
        reads.add(read);
        void read.finally(() => reads.delete(read));
      }
    }
    await Promise.all(reads);
  }

  async #read(user: User): Promise<void> {
    this.#underWay += 1;
    try {
      const session = await this.#sessionOf(user);
      if (session === null) return;
      const projects = this.#world.projectsOf(user);
      if (projects.length === 0) return;
      const project = this.#random.pick(projects);
      const paths = [
        `/projects/${project.id}/tasks?limit=20`,
        `/projects/${project.id}/tasks?limit=20&status=pending,in_progress&sort=-created_at`,
        `/tasks?limit=20&assigned_to=me`,
        `/projects/${project.id}`,
        `/projects/${project.id}/events?limit=20&after=0`,
        ...(project.tasks.length === 0 ? [] : [`/tasks/${this.#random.pick(project.tasks)}`]),
      ];
      const request = { method: "GET", path: this.#random.pick(paths) };
      await this.#world.http.send(request, { user: user.id, token: session.token }, { action: "read" });
    } finally {
      this.#underWay -= 1;
    }
  }

  /** One login serves all reads of a user until its token runs out. */
  async #sessionOf(user: User): Promise<Session | null> {
    const known = this.#sessions.get(user);
    const session = await known;
    if (session != null && session.expiresAt > Date.now() + FRESH_MS) return session;
    if (this.#sessions.get(user) === known) this.#sessions.set(user, this.#world.logIn(user));
    return (await this.#sessions.get(user)) ?? null;
  }
}
