/** The people and projects of a run, as far as the writers know them. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { canary } from "./digest.ts";
import type { HttpClient } from "./http-client.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Random } from "./random.ts";
import type { Time } from "./recording.ts";
import { ADMIN } from "./topology.ts";

const RETRIES = 20;
const RETRY_AFTER_MS = 500;
/** Things of a project that writers remember. */
const MAX_KNOWN = 200;
export const ROLES = ["viewer", "member", "manager"] as const;

export interface User {
  id: string;
  name: string;
  email: string;
  /** The global one. */
  role: "user" | "manager" | "admin";
  /** The last one that was taken, then others: a change may be unanswered, and a restore brings an older one back. */
  passwords: string[];
  /** Deactivated or erased, or about to be. */
  isGone: boolean;
}

export interface Session {
  user: User;
  token: string;
  refreshToken: string;
  /** The session's id, or the personal token's. */
  id: string;
  expiresAt: Time;
  isPersonal?: boolean;
  /** The streams that a personal token is limited to. */
  streams?: string[];
}

export interface Project {
  id: string;
  founder: User;
  owner: User;
  /** Its first members; those of them that are writers stay. */
  members: Set<User>;
  tasks: string[];
  comments: { task: string; id: string; author: string }[];
}

/** Adds to a list that forgets its oldest items. */
export const remember = <Item>(list: Item[], item: Item): void => {
  if (list.push(item) > MAX_KNOWN) list.shift();
};

/** What an answer of login or refresh holds. */
export function sessionOf(user: User, body: any): Session {
  const [, payload = ""] = String(body.access_token).split(".");
  const { sid, exp } = JSON.parse(Buffer.from(payload, "base64url").toString());
  return {
    user,
    token: body.access_token,
    refreshToken: body.refresh_token,
    id: sid,
    expiresAt: exp * 1000,
  };
}

export interface TokenOptions {
  /** Projects that the token is limited to. */
  projects: string[] | null;
  scope: "read" | "write";
  /** How long it is good for. */
  seconds: number;
}

/** How many of each there are. */
export interface Sizes {
  writers: number;
  /** Users whose memberships and sessions come and go. */
  watchers: number;
  /** Users whose accounts end during the run. */
  guests: number;
  /** Users who are managers of all projects at times, and members of none. */
  staff: number;
  projects: number;
  /** The chance of a user to be in a project. */
  share: number;
}

export class World {
  readonly writers: User[] = [];
  readonly watchers: User[] = [];
  readonly guests: User[] = [];
  readonly staff: User[] = [];
  readonly projects: Project[] = [];
  /** Personal tokens that were made last. */
  readonly tokens: { user: User; id: string }[] = [];
  readonly categories: { user: User; id: string; name: string }[] = [];
  admin!: User;
  readonly http: HttpClient;
  readonly mails: Mailbox;
  #serial = 0;

  private constructor(http: HttpClient, mails: Mailbox) {
    this.http = http;
    this.mails = mails;
  }

  /** @throws Error when a part of it can't be made */
  static async make(http: HttpClient, mails: Mailbox, sizes: Sizes, random: Random): Promise<World> {
    const world = new World(http, mails);
    for (const kind of ["writers", "watchers", "guests", "staff"] as const)
      for (let n = 0; n < sizes[kind]; n++) world[kind].push(await world.#mustRegister(`${kind}-${n}`));
    world.admin = {
      id: "admin",
      name: ADMIN.email,
      email: ADMIN.email,
      role: "admin",
      passwords: [ADMIN.password],
      isGone: false,
    };
    for (let n = 0; n < sizes.projects; n++) await world.#makeProject(n, sizes.share, random);
    return world;
  }

  get users(): User[] {
    return [...this.writers, ...this.watchers, ...this.guests];
  }

  projectsOf(user: User): Project[] {
    return this.projects.filter(({ members }) => members.has(user));
  }

  /** A text that names a project, and no other text of the run. */
  title(project: Project): string {
    return canary(project.id, String(++this.#serial));
  }

  /** Such a text that is to be redacted. */
  secret(project: Project): string {
    return `${this.title(project)}-secret`;
  }

  categoriesOf(user: User) {
    return this.categories.filter((category) => category.user === user);
  }

  /** A text that no other task has. */
  personalTitle(): string {
    return `personal-${++this.#serial}`;
  }

  /** @returns null when there is no answer, or no such account any more */
  async logIn(user: User): Promise<Session | null> {
    for (const password of user.passwords) {
      const request = { method: "POST", path: "/auth/login", body: { login: user.name, password } };
      const { outcome, body } = await this.http.send(request, { user: user.id }, { action: "auth.login" });
      if (outcome !== "ok") continue;
      user.passwords = [password, ...user.passwords.filter((other) => other !== password)];
      return sessionOf(user, body);
    }
    return null;
  }

  /** Creates a personal token. @returns null when there is no answer, or no such account or right any more */
  async makeToken(user: User, { projects, scope, seconds }: TokenOptions): Promise<Session | null> {
    const session = await this.logIn(user);
    if (session === null) return null;
    const expiresAt = Date.now() + seconds * 1000;
    const body = {
      name: `token ${++this.#serial}`,
      scope,
      expires_at: new Date(expiresAt).toISOString(),
      project_ids: projects,
    };
    const {
      outcome,
      status,
      body: made,
    } = await this.http.send(
      { method: "POST", path: "/auth/tokens", body },
      { user: user.id, token: session.token },
      { action: "auth.create_token" },
    );
    // The user may have lost a project: the token is for all that is left then.
    if (status === 422 && projects !== null) return this.makeToken(user, { projects: null, scope, seconds });
    if (outcome !== "ok") return null;
    remember(this.tokens, { user, id: made.id });
    return {
      user,
      token: made.token,
      refreshToken: "",
      id: made.id,
      expiresAt,
      isPersonal: true,
      ...(projects && { streams: projects.map((id) => `project:${id}`) }),
    };
  }

  /** Opens an account. @returns null when that is refused, or not answered */
  async register(prefix: string): Promise<User | null> {
    const name = `${prefix}-${randomUUID().slice(0, 8)}`;
    const password = `password of ${name}`;
    const email = `${name}@example.com`;
    const { outcome, body } = await this.http.send(
      { method: "POST", path: "/auth/register", body: { username: name, email, password } },
      { user: "" },
      { action: "auth.register", row: { name: `account ${name}`, state: email } },
    );
    if (outcome !== "ok") return null;
    return { id: body.id, name, email, role: "user", passwords: [password], isGone: false };
  }

  async #mustRegister(prefix: string): Promise<User> {
    for (let attempt = 0; attempt < RETRIES; attempt++) {
      const user = await this.register(prefix);
      if (user !== null) return user;
      // Nodes that just started may not know each other yet.
      await delay(RETRY_AFTER_MS);
    }
    throw new Error(`${prefix} can't be registered`);
  }

  async #makeProject(n: number, share: number, random: Random): Promise<void> {
    const owner = this.writers[n % this.writers.length] as User;
    const session = await this.logIn(owner);
    if (session === null) throw new Error(`${owner.name} can't log in`);
    const as = { id: owner.id, token: session.token };
    const { id } = await this.#must(as, "POST", "/projects", { name: `Project ${n}` });
    const members = new Set([owner]);
    this.projects.push({ id, founder: owner, owner, members, tasks: [], comments: [] });
    for (const user of this.users) {
      const isMember = user !== owner && (this.guests.includes(user) || random.next() < share);
      const role = this.writers.includes(user) ? random.pick(["member", "manager"]) : random.pick(ROLES);
      if (!isMember) continue;
      await this.#must(as, "POST", `/projects/${id}/members`, { user_id: user.id, role });
      members.add(user);
    }
  }

  async #must(as: { id: string; token: string }, method: string, path: string, body: object): Promise<any> {
    const identity = { user: as.id, ...(as.token !== "" && { token: as.token }) };
    const note = { action: `setup ${path.split("/")[1]}` };
    for (let attempt = 0; ; attempt++) {
      const answer = await this.http.send({ method, path, body }, identity, note);
      if (answer.outcome === "ok") return answer.body;
      // Nodes that just started may not know each other yet.
      if (answer.status !== 503 || attempt === RETRIES)
        throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      await delay(RETRY_AFTER_MS);
    }
  }
}
