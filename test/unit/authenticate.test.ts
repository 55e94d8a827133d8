import { describe, expect, jest, test } from "@jest/globals";
import { Problem, PROBLEMS } from "../../core/errors.ts";
import { loadConfig } from "../../core/config.ts";
import { createTokens } from "../../core/tokens.ts";
import { RevokedSessions } from "../../core/revoked-sessions.ts";
import { Authenticator } from "../../services/api-gateway/authenticate.ts";
import { actorOf, problem } from "./fixtures.ts";

const tokens = createTokens(loadConfig({ NODE_ENV: "test" }));
const others = createTokens(
  loadConfig({ NODE_ENV: "test", JWT_SECRET: "somebody else's secret, long enough" }),
);
const expired = createTokens({ ...loadConfig({ NODE_ENV: "test" }), ACCESS_TOKEN_TTL: -1 });
const actor = actorOf("manager");
const { token } = tokens.sign(actor);

const revoked = new RevokedSessions(900);
const personal = jest.fn(async () => ({
  actor: { ...actor, session: "pat", scope: "read" as const },
  expiresAt: null,
}));
const authenticator = new Authenticator(tokens, revoked, personal);
const ask = (authorization?: string) => authenticator.authenticate({ headers: { authorization } });

test.each([`Bearer ${token}`, `bearer ${token}`, `BEARER   ${token}`])(
  "a good bearer token tells who asks",
  async (header) => {
    expect(await ask(header)).toEqual(actor);
  },
);

test("no credentials are challenged without an error (RFC 6750 §3.1)", async () => {
  const headers = { "WWW-Authenticate": 'Bearer realm="taskwire"' };
  await expect(ask()).rejects.toEqual(problem("unauthenticated", { data: { headers } }) as Error);
});

describe("bad credentials are challenged with invalid_token:", () => {
  const headers = { "WWW-Authenticate": 'Bearer realm="taskwire", error="invalid_token"' };

  test.each<[string, string, message: string]>([
    ["a scheme alone", "Bearer", "Send `Authorization: Bearer <access_token>`"],
    ["two tokens", `Bearer ${token} ${token}`, "Send `Authorization: Bearer <access_token>`"],
    ["garbage", "Bearer garbage", PROBLEMS["invalid-token"].explain],
    ["somebody else's token", `Bearer ${others.sign(actor).token}`, PROBLEMS["invalid-token"].explain],
    ["an expired token", `Bearer ${expired.sign(actor).token}`, "The token has expired"],
  ])("%s", async (_what, header, message) => {
    await expect(ask(header)).rejects.toEqual(
      problem("invalid-token", { message, data: { headers } }) as Error,
    );
  });
});

// RFC 6750 §3.1: who brings no bearer token is told the scheme, and nothing of an error.
test.each([
  ["another scheme", "Basic YWRhOnB3"],
  ["a token alone", token],
  ["nothing", ""],
])("%s is no credentials", async (_what, header) => {
  const headers = { "WWW-Authenticate": 'Bearer realm="taskwire"' };
  await expect(ask(header)).rejects.toEqual(problem("unauthenticated", { data: { headers } }) as Error);
});

test("a token that was accepted, and remembered, before is refused once it has expired", async () => {
  const soon = createTokens({ ...loadConfig({ NODE_ENV: "test" }), ACCESS_TOKEN_TTL: 60 }).sign(actor).token;
  expect(await ask(`Bearer ${soon}`)).toEqual(actor);
  jest.useFakeTimers({ now: Date.now() + 60_000 });
  try {
    await expect(ask(`Bearer ${soon}`)).rejects.toMatchObject({
      type: "invalid-token",
      message: "The token has expired",
    });
  } finally {
    jest.useRealTimers();
  }
});

test("a revoked session's token is refused though it was accepted, and remembered, before", async () => {
  const doomed = tokens.sign({ ...actor, session: "doomed" }).token;
  expect(await ask(`Bearer ${doomed}`)).toMatchObject({ session: "doomed" });
  revoked.add(["doomed"]);
  await expect(ask(`Bearer ${doomed}`)).rejects.toMatchObject({ type: "invalid-token" });
});

test("a personal token that could not be asked about is not called invalid", async () => {
  personal.mockRejectedValueOnce(new Problem("service-unavailable"));
  await expect(ask("Bearer twp_away")).rejects.toEqual(problem("service-unavailable") as Error);
  expect(await ask("Bearer twp_away")).toMatchObject({ scope: "read" });
});

test("a personal token is looked up once, and refused as soon as it is revoked", async () => {
  personal.mockClear();
  expect(await ask("Bearer twp_x")).toMatchObject({ session: "pat", scope: "read" });
  expect(await ask("Bearer twp_x")).toMatchObject({ session: "pat", scope: "read" });
  expect(personal).toHaveBeenCalledTimes(1);
  revoked.add(["pat"]);
  await expect(ask("Bearer twp_x")).rejects.toMatchObject({ type: "invalid-token" });
});

test("a personal token is looked up anew after a minute, long before its end could be forgotten", async () => {
  jest.useFakeTimers({ doNotFake: ["performance"] });
  let now = performance.now();
  const clock = jest.spyOn(performance, "now").mockImplementation(() => now);
  try {
    const lookUp = jest.fn(async () => ({ actor, expiresAt: null }));
    const fresh = new Authenticator(tokens, revoked, lookUp);
    for (const [wait, lookups] of [
      [0, 1],
      [59_000, 1],
      [2000, 2],
    ] as const) {
      now += wait;
      jest.advanceTimersByTime(wait);
      await fresh.authenticate({ headers: { authorization: "Bearer twp_minute" } });
      expect(lookUp).toHaveBeenCalledTimes(lookups);
    }
  } finally {
    clock.mockRestore();
    jest.useRealTimers();
  }
});

test("without a question the gateway knows the holders of access tokens, and of personal ones that it looked up", async () => {
  personal.mockClear();
  personal.mockResolvedValue({ actor: { ...actor, session: "found", scope: "read" }, expiresAt: null });
  const bearer = (it: string) => ({ headers: { authorization: `Bearer ${it}` } });
  const known = (it: string) => authenticator.known(bearer(it));
  expect(known(token)).toEqual(actor);
  expect(known("garbage")).toBeNull();
  expect(authenticator.known({ headers: {} })).toBeNull();
  expect([authenticator.mustAsk(bearer("twp_new")), known("twp_new")]).toEqual([true, null]);
  expect(personal).not.toHaveBeenCalled();
  await ask("Bearer twp_new");
  expect(authenticator.mustAsk(bearer("twp_new"))).toBe(false);
  expect(known("twp_new")).toMatchObject({ scope: "read" });
  expect(authenticator.mustAsk(bearer(token))).toBe(false);
});
