import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { service } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import { printable } from "../../core/text.ts";
import type { MailQueue } from "./mail-queue.ts";
import type { Mail, MailerContract } from "./mailer.contract.ts";
import { PACE, type Pace } from "./pace.ts";

/** A mail for the terminal, where a developer finds the link in it. */
function block({ to, subject, text }: Mail): string {
  const lines = [
    `Mail to ${to} (shown here, since SMTP_URL is not set)`,
    `Subject: ${subject}`,
    "",
    ...text.split("\n"),
  ];
  return `\n${lines.map((line) => (line === "" ? "" : `  ${printable(line)}`)).join("\n")}\n\n`;
}

/**
 * Sends mails: at least once, by whichever mailer is up. Without SMTP_URL nothing is sent: development shows mails on
 * the terminal, production drops them and says so. Their text is never logged.
 */
export default (config: Config, pace: Partial<Pace> = {}): ServiceSchema => {
  /** Null without SMTP_URL. */
  let queue: MailQueue | null = null;

  return service<MailerContract>({
    name: "mailer",
    actions: {
      /** Queues a mail and returns. @throws Problem database-unavailable */
      send: {
        auth: "internal",
        rules: {
          to: rules.email,
          subject: { ...rules.text(1, 200), singleLine: true },
          text: rules.text(1, 20_000),
        },
        async handler(ctx) {
          if (queue !== null) await queue.send(ctx.params);
          else if (config.production)
            this.logger.warn(`mail is switched off (no SMTP_URL): dropped "${ctx.params.subject}"`);
          else if (config.NODE_ENV === "development") process.stdout.write(block(ctx.params));
        },
      },
    },

    async started() {
      if (config.SMTP_URL !== "") {
        // pg-boss and nodemailer are loaded only where they are needed.
        const { MailQueue } = await import("./mail-queue.ts");
        queue = new MailQueue(config, { ...PACE, ...pace }, this.logger);
      } else if (config.production)
        this.logger.warn(
          "mail is switched off: verification and password reset mails are not sent (set SMTP_URL)",
        );
    },

    async stopped() {
      await queue?.stop();
      queue = null;
    },
  });
};
