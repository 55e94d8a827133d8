import { createTransport } from "nodemailer";
import type { Config } from "../../core/config.ts";
import type { DeliveryOptions } from "./delivery-options.ts";
import type { Mail } from "./mailer.contract.ts";

/**
 * The failure of one attempt, in codes only. An SMTP server's reply may quote the mail (spam filters name links), and
 * this error is logged and stored.
 */
export class NotSent extends Error {
  /** The server refused the recipient for good (5xx to RCPT TO, RFC 5321 §4.2.1): another attempt is of no use. */
  readonly permanent: boolean;

  constructor(error: unknown) {
    const { code, command, responseCode } = error as {
      code?: string;
      command?: string;
      responseCode?: number;
    };
    const parts = [code, command, responseCode].filter((part) => part !== undefined);
    super(parts.length > 0 ? parts.join(" ") : "failed");
    this.permanent = command === "RCPT TO" && responseCode !== undefined && responseCode >= 500;
  }
}

export interface Smtp {
  /**
   * Sends one mail over a connection of its own.
   * @param id makes the Message-ID, the same for each attempt: a receiver recognises a mail that it gets twice
   * @throws NotSent
   */
  deliver(mail: Mail, id: string, signal: AbortSignal): Promise<void>;
}

export function openSmtp({ SMTP_URL, MAIL_FROM }: Config, options: DeliveryOptions): Smtp {
  const transport = createTransport({
    url: SMTP_URL,
    connectionTimeout: options.socketTimeoutMs,
    greetingTimeout: options.socketTimeoutMs,
    socketTimeout: options.socketTimeoutMs,
    dnsTimeout: options.socketTimeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = /@([^@\s>]+)>?\s*$/.exec(MAIL_FROM)?.[1] ?? "localhost";
  return {
    async deliver({ to, subject, text }, id, signal) {
      try {
        await transport.sendMail({
          from: MAIL_FROM,
          // An object is one address; text would be parsed as a list of addresses.
          to: { name: "", address: to },
          subject,
          text,
          messageId: `<${id}@${domain}>`,
          headers: { "Auto-Submitted": "auto-generated" },
          signal: AbortSignal.any([signal, AbortSignal.timeout(options.attemptTimeoutMs)]),
        });
      } catch (error) {
        throw new NotSent(error);
      }
    },
  };
}
