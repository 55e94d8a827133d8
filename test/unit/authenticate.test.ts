import { describe, expect, test } from "@jest/globals";
import { loadConfig } from "../../core/config.ts";
import { createTokens } from "../../core/tokens.ts";
import { authenticate } from "../../services/api-gateway/authenticate.ts";
import { actorOf, problem } from "./support.ts";

const tokens = createTokens(loadConfig({ NODE_ENV: "test" }));
const others = createTokens(
  loadConfig({ NODE_ENV: "test", JWT_SECRET: "somebody else's secret, long enough" }),
);
const expired = createTokens({ ...loadConfig({ NODE_ENV: "test" }), ACCESS_TOKEN_TTL: -1 });
const actor = actorOf("manager");
const { token } = tokens.sign(actor);

const ask = (authorization?: string) => authenticate({ headers: { authorization } }, tokens);

test.each([`Bearer ${token}`, `bearer ${token}`, `BEARER   ${token}`])(
  "a good bearer token tells who asks",
  (header) => {
    expect(ask(header)).toEqual(actor);
  },
);

test("no credentials are challenged without an error (RFC 6750 §3.1)", () => {
  const headers = { "WWW-Authenticate": 'Bearer realm="taskwire"' };
  expect(() => ask()).toThrow(problem("unauthenticated", { data: { headers } }) as Error);
});

describe("bad credentials are challenged with invalid_token:", () => {
  const headers = { "WWW-Authenticate": 'Bearer realm="taskwire", error="invalid_token"' };

  test.each<[string, string, message: string]>([
    ["a scheme alone", "Bearer", "Send `Authorization: Bearer <access_token>`"],
    ["two tokens", `Bearer ${token} ${token}`, "Send `Authorization: Bearer <access_token>`"],
    ["garbage", "Bearer garbage", "The token is not valid"],
    ["somebody else's token", `Bearer ${others.sign(actor).token}`, "The token is not valid"],
    ["an expired token", `Bearer ${expired.sign(actor).token}`, "The token has expired"],
  ])("%s", (_what, header, message) => {
    expect(() => ask(header)).toThrow(problem("invalid-token", { message, data: { headers } }) as Error);
  });
});

// RFC 6750 §3.1: who brings no bearer token is told the scheme, and nothing of an error.
test.each([
  ["another scheme", "Basic YWRhOnB3"],
  ["a token alone", token],
  ["nothing", ""],
])("%s is no credentials", (_what, header) => {
  const headers = { "WWW-Authenticate": 'Bearer realm="taskwire"' };
  expect(() => ask(header)).toThrow(problem("unauthenticated", { data: { headers } }) as Error);
});
