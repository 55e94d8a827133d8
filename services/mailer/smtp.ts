import { createTransport } from "nodemailer";
import type { Config } from "../../core/config.ts";
import type { Mail } from "./mailer.contract.ts";
import type { Pace } from "./pace.ts";

/**
 * What went wrong with one attempt, in codes alone: an SMTP server's answer may quote the mail (spam filters name the
 * links that they object to), and an error is logged and stored.
 */
export class NotSent extends Error {
  /** The server refuses this recipient for good (5xx to RCPT TO, RFC 5321 §4.2.1): no use in trying again. */
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
   * @param id the same for each attempt: a receiver that gets the mail twice can tell by its Message-ID
   * @throws NotSent
   */
  deliver(mail: Mail, id: string, signal: AbortSignal): Promise<void>;
}

export function openSmtp({ SMTP_URL, MAIL_FROM }: Config, pace: Pace): Smtp {
  const transport = createTransport({
    url: SMTP_URL,
    connectionTimeout: pace.silence,
    greetingTimeout: pace.silence,
    socketTimeout: pace.silence,
    dnsTimeout: pace.silence,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = /@([^@\s>]+)>?\s*$/.exec(MAIL_FROM)?.[1] ?? "localhost";
  return {
    async deliver({ to, subject, text }, id, signal) {
      try {
        await transport.sendMail({
          from: MAIL_FROM,
          // As an object it is one address, whatever it holds; as text it would be parsed as a list.
          to: { name: "", address: to },
          subject,
          text,
          messageId: `<${id}@${domain}>`,
          headers: { "Auto-Submitted": "auto-generated" },
          signal: AbortSignal.any([signal, AbortSignal.timeout(pace.attempt)]),
        });
      } catch (error) {
        throw new NotSent(error);
      }
    },
  };
}
