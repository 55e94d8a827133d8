import { createTransport } from "nodemailer";
import { NotSent } from "../../services/mailer/smtp.ts";
import { check, CONNECT_MS } from "./findings.ts";

export const checkSmtp = check("SMTP", async (config, say) => {
  if (config.SMTP_URL === "")
    return config.production
      ? say("warn", "none: mails are dropped, so nobody can reset a password. Set SMTP_URL")
      : say("ok", "none (no SMTP_URL): mails are printed to the terminal");
  const { hostname, port, protocol } = new URL(config.SMTP_URL);
  const where = `${hostname}:${port || (protocol === "smtps:" ? 465 : 587)}`;
  const transport = createTransport({
    url: config.SMTP_URL,
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: CONNECT_MS,
    dnsTimeout: CONNECT_MS,
  });
  try {
    await transport.verify();
    say("ok", `${where} takes the credentials`);
  } catch (error) {
    // In codes alone: a server's reply may quote what it was sent.
    say("fail", `${where} does not take mails (${new NotSent(error).message}): correct SMTP_URL`);
  } finally {
    transport.close();
  }
});
