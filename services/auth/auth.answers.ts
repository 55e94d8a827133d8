import {
  boolean,
  enumOf,
  integer,
  like,
  nullable,
  object,
  page,
  text,
  timestamp,
  uuid,
} from "../../core/json-schema.ts";
import { user } from "../users/users.answers.ts";
import { type Login, type PersonalToken, type SessionItem, TOKEN_SCOPES } from "./auth.contract.ts";

export const login = object<Login>(
  "Login",
  {
    access_token: text(
      "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIwMTkzYTVjMCJ9.c2lnbmF0dXJl",
      "Send it as `Authorization: Bearer …`.",
    ),
    token_type: { const: "Bearer", examples: ["Bearer"] },
    expires_in: integer(900, "Seconds that the access token works."),
    refresh_token: text(
      "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA",
      "Works once. In cookie mode only the cookie has it.",
    ),
    user,
  },
  ["refresh_token"],
);

export const session = object<SessionItem>("Session", {
  id: uuid("0193a5c1-0b1a-7f42-8c6d-5a9e7b3c1d20"),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
  last_used_at: timestamp("2026-11-21T10:05:12.345Z"),
  user_agent: nullable(text("Mozilla/5.0")),
  address: nullable(text("203.0.113.7")),
  current: boolean(true, "Whether the request came from this session."),
});

const tokenFields = {
  id: uuid("0193a5c2-4e6b-7a10-b7f3-2c8d9e0f1a3b"),
  name: text("nightly import"),
  scope: enumOf(TOKEN_SCOPES),
  project_ids: nullable(
    like(
      { type: "array", items: uuid("0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21") },
      null,
      "The projects that the token is limited to; null for everything that its owner may do.",
    ),
  ),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
  expires_at: nullable(timestamp("2027-11-21T09:30:00.000Z")),
};

export const personalToken = object<PersonalToken>("PersonalToken", tokenFields);

export const newPersonalToken = object<PersonalToken & { token: string }>("NewPersonalToken", {
  ...tokenFields,
  token: text("twp_q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA", "No later answer shows it."),
});

export const sessions = page(session);
export const personalTokens = page(personalToken);
