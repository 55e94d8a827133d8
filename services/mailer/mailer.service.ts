import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { service } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import { printable } from "../../core/text.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import { measureJobs } from "../../mixins/job-metrics.ts";
import { DELIVERY, type DeliveryOptions } from "./delivery-options.ts";
import type { MailQueue } from "./mail-queue.ts";
import type { Mail, MailerContract } from "./mailer.contract.ts";

/** A mail as text for the terminal, where a developer finds its link. */
function printed({ to, subject, text }: Mail): string {
  const lines = [
    `Mail to ${to} (shown here, since SMTP_URL is not set)`,
    `Subject: ${subject}`,
    "",
    ...text.split("\n"),
  ];
  return `\n${lines.map((line) => (line === "" ? "" : `  ${printable(line)}`)).join("\n")}\n\n`;
}

/**
 * Sends each mail at least once, from any node that runs this service. Without SMTP_URL it sends nothing: in development
 * mails are shown on the terminal, in production they are dropped with a warning. Their text is never logged.
 */
export default (config: Config, options: Partial<DeliveryOptions> = {}): ServiceSchema => {
  /** Null without SMTP_URL. */
  let queue: MailQueue | null = null;

  return service<MailerContract, WithDatabase>({
    name: "mailer",
    mixins: [database(config, { cache: false })],
    actions: {
      /** @throws Problem database-unavailable */
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
          else if (config.NODE_ENV === "development") process.stdout.write(printed(ctx.params));
        },
      },
    },

    async started() {
      if (config.SMTP_URL !== "") {
        // Loads pg-boss and nodemailer only on nodes that need them.
        const { MailQueue } = await import("./mail-queue.ts");
        const metrics = measureJobs(this.broker, this.db);
        queue = new MailQueue(config, { ...DELIVERY, ...options }, this, metrics);
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
