import { until } from "../../local/until.ts";
import type { Wire } from "./answer.ts";

/** A client of server-sent events, which reads as EventSource does. */
export class EventReader {
  readonly frames: { event: string; lastId: string; data: Wire }[] = [];
  lastId = "";
  readonly headers: Headers;
  /** Resolves when the response has ended, by whichever side. */
  readonly ended: Promise<void>;
  readonly #hangUp: AbortController;

  private constructor(response: Response, hangUp: AbortController) {
    this.headers = response.headers;
    this.#hangUp = hangUp;
    this.ended = this.#read(response).catch(() => {});
  }

  /** @throws Error for a response that is a problem */
  static async open(url: string, token: string, headers: Record<string, string> = {}): Promise<EventReader> {
    const hangUp = new AbortController();
    const response = await fetch(url, {
      signal: hangUp.signal,
      headers: { Authorization: `Bearer ${token}`, Accept: "text/event-stream", ...headers },
    });
    if (response.status !== 200) throw new Error(await response.text());
    return new EventReader(response, hangUp);
  }

  close(): void {
    this.#hangUp.abort();
  }

  async waitFor(condition: () => boolean): Promise<void> {
    if (await until(condition, 10_000)) return;
    throw new Error(`waited in vain; got ${JSON.stringify(this.frames)}`);
  }

  async #read(response: Response): Promise<void> {
    let text = "";
    const decoder = new TextDecoder();
    for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(bytes, { stream: true });
      const frames = text.split("\n\n");
      text = frames.pop() as string;
      for (const frame of frames) this.#take(frame);
    }
  }

  #take(frame: string): void {
    const fields = new Map(
      frame.split("\n").map((line) => {
        const [name = "", ...rest] = line.split(": ");
        return [name, rest.join(": ")] as const;
      }),
    );
    this.lastId = fields.get("id") ?? this.lastId;
    const data = fields.get("data");
    if (data !== undefined)
      this.frames.push({ event: fields.get("event") ?? "", lastId: this.lastId, data: JSON.parse(data) });
  }
}
