import { describe, expect, test } from "@jest/globals";
import { PROBLEMS } from "../../core/errors.ts";
import { createSecretKey } from "node:crypto";
import jwt, { type SignOptions } from "jsonwebtoken";
import { loadConfig } from "../../core/config.ts";
import { createTokens } from "../../core/tokens.ts";
import { actorOf, problem } from "./fixtures.ts";

const SECRET = "the present secret, of 32 bytes and more";
const PREVIOUS = "the previous secret, of 32 bytes and more";
const tokensBy = (JWT_SECRET: string, JWT_SECRET_PREVIOUS = "") =>
  createTokens(loadConfig({ NODE_ENV: "test", JWT_SECRET, JWT_SECRET_PREVIOUS }));

const tokens = tokensBy(SECRET);
const actor = actorOf("manager");
const { token: good, expiresIn } = tokens.sign(actor);
const { header, payload } = jwt.decode(good, { complete: true }) as jwt.Jwt;
const claims = payload as jwt.JwtPayload;
const now = Math.floor(Date.now() / 1000);

describe("a signed token", () => {
  test("pins its algorithm, names its key, and has the claims of docs/reference.md, Sessions", () => {
    expect(header).toEqual({ alg: "HS256", typ: "JWT", kid: expect.stringMatching(/^[\w-]{12}$/) });
    expect(claims).toEqual({
      iss: "taskwire",
      aud: "taskwire-api",
      sub: actor.id,
      sid: actor.session,
      role: "manager",
      iat: expect.any(Number),
      exp: (claims.iat as number) + 900,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(expiresIn).toBe(900);
  });

  test("is verified to its frozen actor and its end in milliseconds", () => {
    const verified = tokens.verify(good);
    expect(verified).toEqual({ actor, expiresAt: (claims.exp as number) * 1000 });
    expect(Object.isFrozen(verified.actor)).toBe(true);
  });

  test("is unlike every other", () => {
    expect(tokens.sign(actor).token).not.toBe(good);
  });
});

describe("a rotated key", () => {
  const before = tokensBy(PREVIOUS).sign(actor).token;

  test("goes on being accepted as the previous one, and signs no more", () => {
    const rotated = tokensBy(SECRET, PREVIOUS);
    expect(rotated.verify(before).actor).toEqual(actor);
    expect(tokens.verify(rotated.sign(actor).token).actor).toEqual(actor);
  });

  test("is refused once it is gone", () => {
    expect(() => tokens.verify(before)).toThrow(problem("invalid-token") as Error);
  });
});

describe("a bad token is an invalid-token problem:", () => {
  const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const [head, body, signature] = good.split(".") as [string, string, string];
  /** The good token with some claims changed (undefined: left out), signed properly. */
  const signed = (changes: object, options: SignOptions = {}, secret = SECRET) => {
    const changed = Object.entries({ ...claims, ...changes }).filter(([, value]) => value !== undefined);
    const by = { algorithm: "HS256", keyid: header.kid as string, ...options } as const;
    return jwt.sign(Object.fromEntries(changed), createSecretKey(Buffer.from(secret)), by);
  };

  test("the good one's claims, signed anew by the same means, are accepted", () => {
    expect(tokens.verify(signed({})).actor).toEqual(actor);
  });

  test.each<[string, string]>([
    ["alg none with the known kid", `${base64({ ...header, alg: "none" })}.${body}.`],
    ["alg none in other letters", `${base64({ ...header, alg: "nOnE" })}.${body}.${signature}`],
    ["another algorithm with the right key", signed({}, { algorithm: "HS512" })],
    ["another key under the known kid", signed({}, {}, PREVIOUS)],
    ["an unknown kid", signed({}, { keyid: "AAAAAAAAAAAA" })],
    ["no kid", `${base64({ alg: "HS256", typ: "JWT" })}.${body}.${signature}`],
    ["another issuer", signed({ iss: "somebody" })],
    ["another audience", signed({ aud: "somebody" })],
    ["no issuer", signed({ iss: undefined })],
    ["no audience", signed({ aud: undefined })],
    ["a past end", signed({ iat: now - 901, exp: now - 1 })],
    ["no end", signed({ exp: undefined })],
    ["a beginning in the future", signed({ nbf: now + 60 })],
    ["no subject", signed({ sub: undefined })],
    ["no session", signed({ sid: undefined })],
    ["a session that is no string", signed({ sid: 7 })],
    ["no role", signed({ role: undefined })],
    ["an unknown role", signed({ role: "root" })],
    ["a payload changed after signing", `${head}.${base64({ ...claims, role: "admin" })}.${signature}`],
    ["a signature cut short", good.slice(0, -1)],
    ["no signature", `${head}.${body}.`],
    ["a payload that is no object", jwt.sign("text", SECRET, { keyid: header.kid as string })],
    ["two parts", `${head}.${body}`],
    ["parts that are no JSON", "a.b.c"],
    ["a header that is null", `${Buffer.from("null").toString("base64url")}.${body}.${signature}`],
    ["garbage", "garbage"],
    ["nothing", ""],
  ])("%s", (_what, token) => {
    expect(() => tokens.verify(token)).toThrow(problem("invalid-token", { code: 401 }) as Error);
  });

  test("of those only the expired one is told why: it is to be refreshed", () => {
    expect(() => tokens.verify(signed({ iat: now - 901, exp: now - 1 }))).toThrow("The token has expired");
    expect(() => tokens.verify(signed({ iss: "somebody" }))).toThrow(PROBLEMS["invalid-token"].explain);
  });
});
