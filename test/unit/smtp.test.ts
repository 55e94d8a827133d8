import { expect, test } from "@jest/globals";
import { NotSent } from "../../services/mailer/smtp.ts";

test.each<[what: string, error: object, permanent: boolean]>([
  ["refuses the recipient for good", { command: "RCPT TO", responseCode: 550 }, true],
  ["puts the recipient off, as greylisting does", { command: "RCPT TO", responseCode: 450 }, false],
  ["refuses the mail", { command: "DATA", responseCode: 550 }, false],
  ["does not answer", { code: "ETIMEDOUT" }, false],
])("an SMTP server that %s is asked again, unless that is for good", (_what, error, permanent) => {
  expect(new NotSent(error).permanent).toBe(permanent);
});
