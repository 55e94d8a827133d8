/**
 * What this node has read of callers' standings in projects. A creation may be decided by one that is some seconds old: its
 * commit compares the project's `members_version`, which moves with all that a standing says, and fails where it has moved.
 * Nothing is refused by one: the standing is read anew first.
 */
import { LRUCache } from "lru-cache";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { Database } from "../../mixins/database.ts";
import type { ProjectStanding } from "./tasks.queries.ts";

/** Standings that a node remembers, and milliseconds for which it does. */
const [MAX_STANDINGS, TTL_MS] = [10_000, 30_000];

export class Standings {
  readonly #db: Pick<Database, "interruptions">;
  readonly #known = new LRUCache<string, ProjectStanding>({ max: MAX_STANDINGS, ttl: TTL_MS });
  #interruptions: number;

  constructor(db: Pick<Database, "interruptions">) {
    this.#db = db;
    this.#interruptions = db.interruptions;
  }

  /**
   * The standing that was read last.
   * @param project an id: a slug may come to name another project
   * @returns undefined where none is known
   */
  find({ id }: Pick<Actor, "id">, project: string): ProjectStanding | undefined {
    // After a restore one number may stand for other rights, and a restore comes with broken connections.
    if (this.#interruptions !== this.#db.interruptions) {
      this.#known.clear();
      this.#interruptions = this.#db.interruptions;
    }
    return this.#known.get(`${id} ${project}`);
  }

  /** Remembers a standing that a commit has proven, unless it was read by a slug or has nothing to be compared. */
  keep({ id }: Pick<Actor, "id">, project: string, standing: ProjectStanding): void {
    if (isId(project) && standing.members_version !== null) this.#known.set(`${id} ${project}`, standing);
  }

  forget({ id }: Pick<Actor, "id">, project: string): void {
    this.#known.delete(`${id} ${project}`);
  }
}
