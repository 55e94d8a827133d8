import type { Config } from "../../core/config.ts";
import type { Mail } from "../mailer/mailer.contract.ts";

/** The URL of a page that hands the token to the API. The token is in the fragment, which no server and no log sees. */
const pageUrl = (config: Config, page: string, token: string): string =>
  new URL(`${page}#token=${token}`, config.APP_URL.endsWith("/") ? config.APP_URL : `${config.APP_URL}/`)
    .href;

export const verificationMail = (config: Config, to: string, token: string): Mail => ({
  to,
  subject: "Confirm your e-mail address",
  text: [
    "Somebody, probably you, opened a Taskwire account with this address.",
    "",
    "Confirm it within a day:",
    pageUrl(config, "verify-email", token),
    "",
    "If it was not you, do nothing.",
  ].join("\n"),
});

export const resetMail = (config: Config, to: string, token: string): Mail => ({
  to,
  subject: "Choose a new password",
  text: [
    "Somebody, probably you, asked to reset the password of your Taskwire account.",
    "",
    "Choose a new one within an hour:",
    pageUrl(config, "reset-password", token),
    "",
    "If it was not you, do nothing: your password stays as it is.",
  ].join("\n"),
});
