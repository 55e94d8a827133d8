/** How a subscriber proves who it is: by sessions, which it renews or lets expire, or by personal tokens that end. */
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "./random.ts";
import { codeOf, type Recorder } from "./subscriber.ts";
import { type Session, sessionOf, type User, type World } from "./world.ts";

/** `renewed`: sessions whose token is refreshed in time. `expiring`: sessions whose token runs out. */
export type CredentialKind = "renewed" | "expiring" | "personal";

/** Milliseconds before its token expires when a client renews it. */
const RENEW_MS = 20_000;
const AGAIN_AFTER_MS = 500;
/** Of a session that was refused a refresh: its refresh token would have been good for long. */
const LONG_MS = 86_400_000;
/** Seconds that a personal token is good for. */
const PERSONAL_S = [20, 90] as const;

export interface CredentialOptions {
  user: User;
  kind: CredentialKind;
  /** Projects that a personal token is limited to. */
  projects: string[] | null;
}

export class Credentials {
  readonly user: User;
  readonly #options: CredentialOptions;
  readonly #world: World;
  readonly #random: Random;
  readonly #recorder: Recorder;
  #session: Session | null = null;

  constructor(options: CredentialOptions, world: World, random: Random, recorder: Recorder) {
    this.user = options.user;
    this.#options = options;
    this.#world = world;
    this.#random = random;
    this.#recorder = recorder;
  }

  get session(): Session | null {
    return this.#session;
  }

  /** Whether the session's token is to be refreshed now. */
  get isDue(): boolean {
    return (
      this.#options.kind === "renewed" &&
      this.#session !== null &&
      this.#session.expiresAt < Date.now() + RENEW_MS
    );
  }

  forget(): void {
    this.#session = null;
  }

  /** A token that is good for a moment at least. @returns null when it is over before there is one */
  async valid(isOver: () => boolean): Promise<Session | null> {
    while ((this.#session?.expiresAt ?? 0) < Date.now() + AGAIN_AFTER_MS) {
      if (isOver()) return null;
      this.#session = await this.#open();
      if (this.#session === null) await delay(AGAIN_AFTER_MS);
    }
    return this.#session;
  }

  #open(): Promise<Session | null> {
    const { user, kind, projects } = this.#options;
    if (kind !== "personal") return this.#world.logIn(user);
    return this.#world.makeToken(user, {
      projects,
      seconds: this.#random.whole(...PERSONAL_S),
      scope: "read",
    });
  }

  /** @returns the refreshed session; null where that was refused (it is forgotten then) or not answered */
  async refresh(): Promise<Session | null> {
    const session = this.#session;
    if (session === null) return null;
    const request = {
      method: "POST",
      path: "/auth/refresh",
      body: { refresh_token: session.refreshToken },
    };
    const note = { action: "auth.refresh" };
    const { status, body } = await this.#world.http.send(request, { user: this.user.id }, note);
    if (session !== this.#session) return null;
    if (status === 401) {
      this.#recorder.refused(session, codeOf(body), Date.now() + LONG_MS);
      this.#session = null;
    }
    if (status !== 200) return null;
    return (this.#session = sessionOf(this.user, body));
  }
}
