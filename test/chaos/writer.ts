/** A user who makes one write after another, of every kind of the API, at a bounded rate. */
import { setTimeout as delay } from "node:timers/promises";
import type { Answer, CallNote, Request } from "./http-client.ts";
import type { Random } from "./random.ts";
import type { Project, Session, User, World } from "./world.ts";

/** One kind of write: how often it is made, and how. */
export interface Write {
  weight: number;
  make(by: Writer, project: Project): Promise<void>;
}
export type Writes = Readonly<Record<string, Write>>;

/** How often a writer tries a project that may not be theirs. */
const STRANGER = 0.1;
/** How often a writer uses a personal token, and how often that is limited to a project. */
const [PERSONAL, LIMITED] = [0.25, 0.5];
/** Seconds that such a token is good for. */
const PERSONAL_S = 45;
/** Milliseconds before its token expires when a writer logs in again. */
const FRESH_MS = 10_000;

/** What the recording is to know of a write that makes an event. */
export const event = (action: string, more: Partial<CallNote> = {}): CallNote => ({
  action,
  leavesEvent: true,
  ...more,
});

export class Writer {
  readonly world: World;
  readonly random: Random;
  readonly user: User;
  readonly #writes: Writes;
  #session: Session | null = null;

  /** @param writes what to choose from */
  constructor(world: World, random: Random, user: User, writes: Writes) {
    this.#writes = writes;
    this.world = world;
    this.random = random;
    this.user = user;
  }

  /** @param pauseMs between two writes, on average */
  async run(signal: AbortSignal, pauseMs: number): Promise<void> {
    const weights = Object.fromEntries(Object.entries(this.#writes).map(([kind, one]) => [kind, one.weight]));
    while (!signal.aborted) {
      await delay(pauseMs * (0.5 + this.random.next()));
      const kind = this.random.weighted(weights);
      const own = this.world.projectsOf(this.user);
      const isStranger = own.length === 0 || this.random.next() < STRANGER;
      const project = this.random.pick(isStranger ? this.world.projects : own);
      if ((this.#session?.expiresAt ?? 0) < Date.now() + FRESH_MS) this.#session = await this.#open(own);
      if (this.#session !== null && !signal.aborted) await this.#writes[kind]?.make(this, project);
    }
  }

  #open(own: Project[]): Promise<Session | null> {
    if (this.random.next() >= PERSONAL) return this.world.logIn(this.user);
    const isLimited = own.length > 0 && this.random.next() < LIMITED;
    const projects = isLimited ? [this.random.pick(own).id] : null;
    return this.world.makeToken(this.user, { projects, scope: "write", seconds: PERSONAL_S });
  }

  /** @param session the writer's own by default */
  async send(request: Request, note: CallNote, session = this.#session): Promise<Answer> {
    const { user, token = "" } = session ?? { user: this.user };
    const answer = await this.world.http.send(request, { user: user.id, token }, note);
    if (answer.status === 401 && session === this.#session) this.#session = null;
    return answer;
  }

  /** A POST with an idempotency key: it is sent again until it is answered. */
  post(path: string, body: object | undefined, note: CallNote, session?: Session): Promise<Answer> {
    return this.send({ method: "POST", path, isKeyed: true, ...(body && { body }) }, note, session);
  }

  /** Sends what must not stay undone until there is an answer, for half a minute at the most. */
  async insist(request: Request, note: CallNote, session: Session): Promise<Answer["outcome"]> {
    for (let attempt = 0; ; attempt++) {
      const { outcome } = await this.send(request, note, session);
      if (outcome === "ok" || outcome === "refused" || attempt === 30) return outcome;
      await delay(1000);
    }
  }

  /** The session of a project's owner, who may do everything there. */
  asOwner({ owner }: Project): Promise<Session | null> {
    return this.world.logIn(owner);
  }
}
