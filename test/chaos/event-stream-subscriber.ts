/** A client of server-sent events that follows one stream as an EventSource does: by the last `id:` that it read. */
import type { IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { cursorOf, positionOf } from "../../core/events.ts";
import { type HttpOptions, HttpSubscriber, RETRY_MS } from "./http-subscriber.ts";
import type { Session } from "./world.ts";

const HEAD_WITHIN_MS = 10_000;
/** Milliseconds without even a comment, which comes every 15 s, after which the client connects again. */
const SILENCE_MS = 40_000;

/** The fields of one frame; a comment has none. */
const fieldsOf = (frame: string): Record<string, string> =>
  Object.fromEntries(
    frame.split("\n").flatMap((line) => {
      const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      return name === undefined || value === undefined ? [] : [[name, value] as const];
    }),
  );

export class EventStreamSubscriber extends HttpSubscriber {
  readonly #stream: string;

  constructor(stream: string, options: HttpOptions) {
    super(options);
    this.#stream = stream;
  }

  protected async follow(session: Session): Promise<void> {
    const [kind, id] = this.#stream.split(":");
    const last = this.positions.get(this.#stream);
    const response = await this.ask(
      {
        method: "GET",
        path: kind === "user" ? "/events/stream" : `/projects/${id}/events/stream`,
        headers: {
          Accept: "text/event-stream",
          ...(last !== undefined && { "Last-Event-ID": cursorOf(last) }),
        },
        withinMs: HEAD_WITHIN_MS,
      },
      session,
    );
    if (response.statusCode === 200) return this.#frames(response, session);
    const { body } = await this.read(response);
    if (response.statusCode === 401) return this.refused(session, body);
    if (response.statusCode !== 404) throw new Error(`status ${response.statusCode}`);
    // What the client was told holds until it asks again.
    this.opened(session, [this.#stream]);
    this.lost(this.#stream);
    await delay(RETRY_MS);
  }

  async #frames(response: IncomingMessage, session: Session): Promise<void> {
    this.opened(session, [this.#stream]);
    const last = this.positions.get(this.#stream);
    // A client that said where it is hears nothing until something follows, or can't follow.
    if (last !== undefined) this.isReady({ [this.#stream]: { ...last, recovered: true } });
    response.setTimeout(SILENCE_MS, () => response.destroy(new Error("silent")));
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of this.chunks(response)) {
      text += decoder.decode(chunk, { stream: true });
      const frames = text.split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) this.#frame(frame);
    }
  }

  #frame(frame: string): void {
    const { id, event, data } = fieldsOf(frame);
    if (id === undefined) return;
    if (event === undefined || event === "reset")
      this.isReady({ [this.#stream]: { ...positionOf(id), recovered: false } });
    else this.take(JSON.parse(data ?? ""), id, frame);
  }
}
