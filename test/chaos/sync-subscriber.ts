/** A client of `POST /sync` that reads all its streams in one request, and waits there for the next event. */
import { cursorOf, type Position, positionOf } from "../../core/events.ts";
import { canariesIn } from "./digest.ts";
import { HttpSubscriber } from "./http-subscriber.ts";
import type { Session } from "./world.ts";

/** Seconds that a sync waits for an event. */
const WAIT_S = 10;
/** Milliseconds in which its answer begins. */
const HEAD_WITHIN_MS = (WAIT_S + 10) * 1000;
const LIMIT = 200;

interface Answer {
  events: { stream: string; seq: number; id: string }[];
  cursors: Record<string, string>;
  gained: string[];
  lost: string[];
  reset: string[];
}

export class SyncSubscriber extends HttpSubscriber {
  protected async follow(session: Session): Promise<void> {
    for (let [token, isFirst] = [session, true]; !this.isOver; isFirst = false) {
      const answer = await this.#sync(token);
      if (answer === null) return;
      if (isFirst) this.opened(token);
      this.#read(answer, isFirst);
      const next = await this.#renewed(token);
      if (next === null) return;
      token = next;
    }
  }

  /** @returns null when the token was refused */
  async #sync(session: Session): Promise<{ text: string; body: Answer } | null> {
    const cursors = Object.fromEntries([...this.positions].map(([name, last]) => [name, cursorOf(last)]));
    const body = { cursors, limit: LIMIT, wait: WAIT_S };
    const response = await this.ask(
      { method: "POST", path: "/sync", body, withinMs: HEAD_WITHIN_MS },
      session,
    );
    const answer = await this.read(response);
    if (response.statusCode === 200) return answer;
    if (response.statusCode !== 401) throw new Error(`status ${response.statusCode}`);
    this.refused(session, answer.body);
    return null;
  }

  #read(
    { text, body: { events, cursors, gained, lost, reset } }: { text: string; body: Answer },
    isFirst: boolean,
  ): void {
    const told = new Set<string>();
    for (const event of events) {
      const raw = JSON.stringify(event);
      for (const project of canariesIn(raw)) told.add(project);
      this.take(event, cursorOf(event), raw);
    }
    const tags = canariesIn(text).filter((project) => !told.has(project));
    if (tags.length > 0) this.recorder.record({ kind: "other", tags });
    lost.forEach((stream) => this.lost(stream));
    const isNew = new Set([...gained, ...reset]);
    const streams: Record<string, Position & { recovered: boolean }> = {};
    for (const [stream, cursor] of Object.entries(cursors)) {
      // What the events do not say: a place to begin at, or one that differs from where they lead.
      const last = this.positions.get(stream);
      if (isFirst || isNew.has(stream) || last === undefined || cursorOf(last) !== cursor)
        streams[stream] = { ...positionOf(cursor), recovered: !isNew.has(stream) };
    }
    if (Object.keys(streams).length > 0) this.isReady(streams);
  }

  /** The token for the next request: the same, or a refreshed one. @returns null when the connection is over */
  async #renewed(session: Session): Promise<Session | null> {
    if (!this.credentials.isDue) return session.expiresAt > Date.now() ? session : null;
    const next = await this.credentials.refresh();
    if (next === null) return this.credentials.session;
    this.recorder.record({ kind: "renewed", expires_at: next.expiresAt, session: next.id });
    return next;
  }
}
