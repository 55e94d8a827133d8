/** The mail server of a run: it keeps the last one-time token of each kind that an address was sent. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SMTPServer } from "smtp-server";
import { until } from "../../local/until.ts";

export type MailKind = "verify" | "reset";

/** The link of a mail: quoted-printable text says `=3D` for `=`. */
const LINK = /(verify|reset)[\w/-]*#token=(?:3D)?([\w-]+)/;

export class Mailbox {
  readonly #tokens = new Map<string, string>();
  readonly #server: SMTPServer;

  private constructor() {
    this.#server = new SMTPServer({
      disabledCommands: ["AUTH", "STARTTLS"],
      disableReverseLookup: true,
      closeTimeout: 100,
      onData: (stream, { envelope }, done) => {
        text(stream).then((message) => {
          const [, kind, token] = LINK.exec(message.replaceAll(/=\r?\n/g, "")) ?? [];
          for (const { address } of envelope.rcptTo)
            if (kind !== undefined && token !== undefined) this.#tokens.set(`${kind} ${address}`, token);
          done();
        }, done);
      },
    });
    // Of a connection: the node that it belongs to sends its mail again.
    this.#server.on("error", () => {});
  }

  static async listen(): Promise<Mailbox> {
    const mailbox = new Mailbox();
    mailbox.#server.listen(0, "127.0.0.1");
    await once(mailbox.#server.server, "listening");
    return mailbox;
  }

  get url(): string {
    return `smtp://127.0.0.1:${(this.#server.server.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(resolve));
  }

  /** A token that was mailed, once. @returns null when none comes in time */
  async takeToken(address: string, kind: MailKind, withinMs: number): Promise<string | null> {
    const key = `${kind} ${address}`;
    await until(() => this.#tokens.has(key), withinMs);
    const token = this.#tokens.get(key) ?? null;
    this.#tokens.delete(key);
    return token;
  }
}
