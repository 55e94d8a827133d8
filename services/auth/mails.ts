import type { Config } from "../../core/config.ts";

interface Mail {
  to: string;
  subject: string;
  text: string;
}

/** A page of the app's that hands the token to the API. In the fragment, which no server and no log sees. */
const link = (config: Config, page: string, token: string): string =>
  new URL(`${page}#token=${token}`, config.APP_URL.endsWith("/") ? config.APP_URL : `${config.APP_URL}/`)
    .href;

export const verificationMail = (config: Config, to: string, token: string): Mail => ({
  to,
  subject: "Confirm your e-mail address",
  text: [
    "Somebody, probably you, opened a Taskwire account with this address.",
    "",
    "Confirm it within a day:",
    link(config, "verify-email", token),
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
    link(config, "reset-password", token),
    "",
    "If it was not you, do nothing: your password stays as it is.",
  ].join("\n"),
});
