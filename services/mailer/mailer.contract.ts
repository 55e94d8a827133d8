import { remote, type ServiceContract } from "../../core/kit.ts";

/** A plain text mail from `MAIL_FROM`. */
export interface Mail {
  /** One bare address, such as `ada@example.com`. */
  to: string;
  subject: string;
  text: string;
}

export interface MailerContract extends ServiceContract {
  name: "mailer";
  actions: {
    /** Queues a mail. Once this returns, the mail outlives every node and is sent at least once. */
    send: { params: Mail; result: void };
  };
}

export const mailer = remote<MailerContract>("mailer");
