import { describe, expect, test } from "@jest/globals";
import { dictionary } from "@zxcvbn-ts/language-common";
import FastestValidator, { type ValidationError } from "fastest-validator";
import { loadConfig } from "../../core/config.ts";
import { toProblem } from "../../services/api-gateway/problem.ts";
import { isCommonPassword } from "../../services/users/common-passwords.ts";
import users from "../../services/users/users.service.ts";

type Validator = InstanceType<typeof FastestValidator.default>;

const ranked = dictionary["passwords-common"];

describe("a common password", () => {
  test.each([
    "password",
    "password1",
    "password123",
    "passw0rd",
    "12345678",
    "1234567890",
    "qwertyuiop",
    "iloveyou1",
    "1q2w3e4r",
    "abcd1234",
    "letmein1",
    "trustno1",
    "welcome1",
    "sunshine",
    "princess",
    "football1",
    "baseball",
    "changeme",
    "superman",
    "11111111",
  ])("%s is refused in any letter case", (password) => {
    expect(isCommonPassword(password)).toBe(true);
    expect(isCommonPassword(password.toUpperCase())).toBe(true);
    expect(isCommonPassword(password.slice(0, 1).toUpperCase() + password.slice(1))).toBe(true);
  });
});

test.each([
  "correct horse battery",
  "x1-y2_z3",
  "x".repeat(128),
  "пароль с пробелами",
  "password1 ",
  " password",
  "__proto__",
  "constructor",
  "",
])("%j is not one of them", (password) => {
  expect(isCommonPassword(password)).toBe(false);
});

test("the 3,000 most common are refused, of all lengths and of those with 8 characters and more", () => {
  expect(ranked.length).toBeGreaterThanOrEqual(3000);
  expect(new Set(ranked.slice(0, 3000)).size).toBe(3000);
  expect(ranked.slice(0, 3000).filter((password) => !isCommonPassword(password))).toEqual([]);

  const longEnough = ranked.filter((password) => password.length >= 8);
  expect(longEnough.slice(0, 3000).filter((password) => !isCommonPassword(password))).toEqual([]);
  expect(longEnough.filter(isCommonPassword)).toHaveLength(3000);
});

describe("users.create", () => {
  const config = loadConfig({ NODE_ENV: "test", DATABASE_URL: "postgres://nobody.invalid/none" });
  const { create } = users(config).actions as unknown as Record<"create", { params: { password: object } }>;
  /** As Moleculer makes its own. */
  const validator = new (FastestValidator as unknown as new (options: object) => Validator)({
    considerNullAsAValue: true,
    useNewCustomCheckerFunction: true,
  });
  const check = validator.compile({ password: create.params.password } as object) as (
    params: object,
  ) => true | ValidationError[];
  const codes = (password: string) =>
    [check({ password })].flat().map((failure) => (failure as ValidationError).type);

  test("says so of a common password, in words for people", () => {
    const failures = check({ password: "PassWord1" });
    const { code: status, data } = toProblem(
      { name: "ValidationError", data: failures },
      { method: "POST", path: [] },
    );
    expect(status).toBe(422);
    const message = "This password is one of the most common ones.";
    expect(data.errors).toEqual([{ pointer: "#/password", code: "common", message }]);
  });

  test.each([
    ["1234567", ["characters"]],
    ["12345678", ["common"]],
    ["\u{1F418}".repeat(8), [undefined]],
    ["x".repeat(129), ["characters"]],
    ["correct\u0000horse", ["unstorable"]],
    ["correct horse", [undefined]],
  ])("tells of %j only what is wrong first: %j", (password, expected) => {
    expect(codes(password)).toEqual(expected);
  });
});
