import { expect, test } from "@jest/globals";
import { redactText, redactValue, safeError } from "../../core/redact.ts";

test.each([
  ["no account has ada.l@mail.example.com", "no account has [redacted]"],
  ["Key (email)=(ada@example.com) already exists", "Key (email)=([redacted]) already exists"],
  ["postgres://taskwire:hush@db:5432/x is away", "postgres://[redacted]@db:5432/x is away"],
  ["redis+sentinel://:hush@one,two/main", "redis+sentinel://[redacted]@one,two/main"],
  ["Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"],
  [`token ${"x".repeat(43)} is spent`, "token [redacted] is spent"],
  ["eyJhbGciOiJIUzI1NiIsImtpZCI6Imp1c3RhbmV4YW1wbGUifQ.e30.c2ln", "[redacted]"],
  [
    "stream project:0198c0de-0000-7000-8000-000000000001",
    "stream project:0198c0de-0000-7000-8000-000000000001",
  ],
  [
    "at file:///app/node_modules/@scope/pkg/index.js:1:2",
    "at file:///app/node_modules/@scope/pkg/index.js:1:2",
  ],
])("%j is logged as %j", (text, logged) => {
  expect(redactText(text)).toBe(logged);
});

test("an object is logged without the values of telling names, however deep, and bounded", () => {
  const circle: Record<string, unknown> = {
    password: "hush",
    user_id: "7",
    nested: { access_token: "hush" },
  };
  circle.circle = circle;
  const logged = redactValue({ ...circle, body: { title: "hush" }, list: Array(1000).fill("a@b.example") });
  expect(logged).toMatchObject({
    password: "[redacted]",
    user_id: "7",
    nested: { access_token: "[redacted]" },
  });
  expect(JSON.stringify(logged)).not.toMatch(/hush|a@b/);
  expect(JSON.stringify(logged).length).toBeLessThan(2000);
});

test("an error is logged by its words alone: what libraries attach to it stays out", () => {
  const error = Object.assign(
    new Error("duplicate key of ada@example.com", { cause: new Error("the cause") }),
    {
      code: "23505",
      constraint: "users_email_key",
      detail: "Key (email)=(hush) already exists",
      parameters: ["hush"],
    },
  );
  const logged = safeError(error);
  expect(logged).toMatchObject({
    type: "Error",
    message: "duplicate key of [redacted]",
    code: "23505",
    constraint: "users_email_key",
    cause: { message: "the cause" },
  });
  expect(logged.stack).toContain("redact.test.ts");
  expect(JSON.stringify(logged)).not.toMatch(/hush|ada@/);
});

test.each([
  ["Postgres", Object.assign(new Error('invalid input syntax for type uuid: "my diary"'), { code: "22P02" })],
  ["JSON.parse", new SyntaxError(`Unexpected token 'm', "my diary" is not valid JSON`)],
])("what %s quotes is left out", (_who, error) => {
  const logged = safeError(error);
  expect(logged.message).toMatch(/^(invalid input|Unexpected token)/);
  expect(JSON.stringify(logged)).not.toContain("diary");
});
